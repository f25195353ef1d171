import jakarta.jms.*;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.qpid.jms.JmsConnectionFactory;

/**
 * Sends and receives through failovers until standard input ends, then says
 * whether everything that was sent has come.
 *
 * usage: Failover QUEUE HOST:PORT...
 *
 * Prints "sent N" now and then.
 */
public class Failover {
    static final Set<String> received = ConcurrentHashMap.newKeySet();

    public static void main(String[] args) throws Exception {
        StringBuilder uri = new StringBuilder("failover:(");
        for (int i = 1; i < args.length; i++) {
            uri.append(i > 1 ? "," : "").append("amqp://").append(args[i]);
        }
        uri.append(")?failover.maxReconnectAttempts=-1&failover.reconnectDelay=50&failover.maxReconnectDelay=500");
        Connection connection = new JmsConnectionFactory(uri.toString()).createConnection();
        Session in = connection.createSession(false, Session.CLIENT_ACKNOWLEDGE);
        in.createConsumer(in.createQueue(args[0])).setMessageListener(m -> {
            try {
                received.add(((TextMessage) m).getText());
                m.acknowledge();
            } catch (JMSException e) {
                // The session was lost: the message comes again.
            }
        });
        connection.start();
        AtomicBoolean stop = new AtomicBoolean();
        Thread input = new Thread(() -> {
            try {
                while (System.in.read() >= 0) { }
            } catch (java.io.IOException e) {
                // It ended all the same.
            }
            stop.set(true);
        });
        input.setDaemon(true);
        input.start();
        Session out = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
        MessageProducer producer = out.createProducer(out.createQueue(args[0]));
        int n = 0, unknown = 0;
        Set<String> sent = ConcurrentHashMap.newKeySet();
        for (; !stop.get(); n++) {
            String text = "m" + n;
            try {
                producer.send(out.createTextMessage(text));
                sent.add(text);
            } catch (JMSException e) {
                unknown++; // nobody knows what became of it
            }
            if (sent.size() % 20 == 0) {
                System.out.println("sent " + sent.size());
            }
        }
        for (long end = System.currentTimeMillis() + 60000; !received.containsAll(sent) && System.currentTimeMillis() < end; ) {
            Thread.sleep(50);
        }
        sent.removeAll(received);
        System.out.println((sent.isEmpty() ? "ok " : "FAILED ") + n + " sends, " + unknown + " of unknown fate, " + received.size() + " received, lost " + sent.size());
        System.exit(0);
    }
}
