import java.util.HashMap;
import java.util.Map;
import javax.jms.*;
import org.apache.activemq.ActiveMQConnectionFactory;

/**
 * A producer and a consumer that reconnect by themselves, as in ActiveMQ's tutorials, until standard input ends: then what was
 * sent is consumed to the last message. The last line says what became of all of it.
 */
public final class Failover {
    private static volatile boolean ended;

    public static void main(String[] args) throws Exception {
        ActiveMQConnectionFactory f = new ActiveMQConnectionFactory("failover:(tcp://" + args[0] + ")?maxReconnectDelay=100&timeout=60000");
        boolean transacted = args.length > 1;
        Map<String, Integer> got = new HashMap<>();
        int[] sent = new int[1];
        int[] order = new int[1];
        int[] doubt = new int[1];
        Thread consumer = new Thread(() -> {
            try (Connection c = f.createConnection()) {
                c.start();
                Session s = c.createSession(transacted, transacted ? Session.SESSION_TRANSACTED : Session.CLIENT_ACKNOWLEDGE);
                MessageConsumer r = s.createConsumer(s.createQueue("failover"));
                int last = -1;
                for (;;) {
                    boolean finished = ended;
                    Message m = r.receive(finished ? 3000 : 500);
                    if (m == null) {
                        if (finished) {
                            return;
                        }
                        continue;
                    }
                    int n = Integer.parseInt(((TextMessage) m).getText());
                    if (n < last && !m.getJMSRedelivered()) {
                        order[0]++;
                    }
                    last = n;
                    try {
                        if (transacted) {
                            s.commit();
                        } else {
                            m.acknowledge();
                        }
                        got.merge(m.getJMSMessageID(), 1, Integer::sum);
                    } catch (JMSException e) {
                        doubt[0]++; // it comes again if it was not carried out
                    }
                }
            } catch (Exception e) {
                e.printStackTrace();
            }
        });
        consumer.start();
        Thread producer = new Thread(() -> {
            try (Connection c = f.createConnection()) {
                c.start();
                Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
                MessageProducer p = s.createProducer(s.createQueue("failover"));
                while (!ended) {
                    p.send(s.createTextMessage(Integer.toString(sent[0])));
                    sent[0]++;
                    if (sent[0] == 100) {
                        System.out.println("started");
                    }
                }
            } catch (Exception e) {
                e.printStackTrace();
            }
        });
        producer.start();
        while (System.in.read() >= 0) {
            // The test closes it.
        }
        ended = true;
        producer.join();
        consumer.join();
        long again = got.values().stream().filter(n -> n > 1).count();
        System.out.println("sent " + sent[0] + " got " + got.size() + " doubt " + doubt[0] + " again " + again + " disorder " + order[0]);
        System.exit(0);
    }
}
