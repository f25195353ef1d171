import jakarta.jms.*;
import org.apache.qpid.jms.JmsConnectionFactory;

/**
 * Logs in over TLS, by SCRAM and by certificate: one line a feature.
 *
 * usage: Secure HOST:PORT USER PASSWORD TRUSTSTORE KEYSTORE PASSWORD-OF-BOTH NAME-IN-CERTIFICATE
 */
public class Secure {
    static String address, user, password, trust, keys, secret, certified;

    static Connection connect(String options, String user, String password) throws JMSException {
        String uri = "amqps://" + address + "?transport.trustStoreLocation=" + trust + "&transport.trustStorePassword=" + secret
            + "&jms.connectTimeout=15000" + options;
        Connection c = user == null ? new JmsConnectionFactory(uri).createConnection() : new JmsConnectionFactory(user, password, uri).createConnection();
        c.start();
        return c;
    }

    /** Sends and receives where only that user may. */
    static void expect(String what, String name, Connection c) throws JMSException {
        try (c) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Queue q = s.createQueue("of." + name);
            s.createProducer(q).send(s.createTextMessage(what));
            Message m = s.createConsumer(q).receive(15000);
            System.out.println((m != null && ((TextMessage) m).getText().equals(what) ? "ok " : "FAILED ") + what);
        } catch (JMSException e) {
            System.out.println("FAILED " + what + ": " + e);
        }
    }

    public static void main(String[] args) throws Exception {
        address = args[0]; user = args[1]; password = args[2]; trust = args[3]; keys = args[4]; secret = args[5]; certified = args[6];
        expect("the best mechanism there is", user, connect("", user, password));
        expect("SCRAM-SHA-256", user, connect("&amqp.saslMechanisms=SCRAM-SHA-256", user, password));
        expect("PLAIN", user, connect("&amqp.saslMechanisms=PLAIN", user, password));
        for (String mechanism : new String[] {"SCRAM-SHA-256", "PLAIN"}) {
            for (String who : new String[] {user, "nobody"}) {
                try {
                    connect("&amqp.saslMechanisms=" + mechanism, who, "wrong").close();
                    System.out.println("FAILED: a wrong password of " + who + " by " + mechanism);
                } catch (JMSSecurityException e) {
                    System.out.println("ok a wrong password of " + who + " by " + mechanism + " is refused");
                }
            }
        }
        String store = "&transport.keyStoreLocation=" + keys + "&transport.keyStorePassword=" + secret;
        expect("EXTERNAL", certified, connect(store + "&amqp.saslMechanisms=EXTERNAL", null, null));
        System.exit(0);
    }
}
