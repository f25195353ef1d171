import java.util.ArrayList;
import java.util.Collections;
import java.util.Enumeration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import javax.jms.*;
import javax.transaction.xa.XAException;
import javax.transaction.xa.XAResource;
import javax.transaction.xa.Xid;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.ActiveMQMessageProducer;
import org.apache.activemq.ActiveMQSession;
import org.apache.activemq.ActiveMQXAConnectionFactory;
import org.apache.activemq.AsyncCallback;
import org.apache.activemq.command.ActiveMQQueue;

/** Plain JMS programs against a broker: a line "ok name" for each that works. */
public final class Features {
    private static final long WAIT = 10_000;
    private final String url;
    private int serial;

    private interface Feature {
        void run() throws Exception;
    }

    private Features(String url) {
        this.url = url;
    }

    public static void main(String[] args) {
        Features f = new Features(args[0]);
        f.all(args.length > 1);
        System.exit(0);
    }

    /** Client 5 refuses to make contexts. */
    private void all(boolean modern) {
        feature("queue with text", this::text);
        feature("all message types", this::types);
        feature("properties and headers", this::properties);
        feature("compression", this::compression);
        feature("client acknowledgement", this::clientAck);
        feature("individual acknowledgement", this::individualAck);
        feature("dups-ok and optimized acknowledgement", this::dupsOk);
        feature("transaction committed and rolled back", this::transaction);
        feature("redelivery limit and dead letter", this::poison);
        feature("topic", this::topic);
        feature("wildcards", this::wildcards);
        feature("composite destination", this::composite);
        feature("durable subscription", this::durable);
        feature("selector", this::selector);
        feature("invalid selector", this::invalidSelector);
        feature("browser", this::browser);
        feature("priority", this::priority);
        feature("expiry", this::expiry);
        feature("request and reply", this::requestReply);
        feature("temporary destination of another", this::foreignTemp);
        feature("prefetch 0", this::pull);
        feature("prefetch 1", this::prefetchOne);
        feature("listener", this::listener);
        feature("asynchronous sends with a window", this::window);
        feature("exclusive consumer", this::exclusive);
        feature("message group", this::groups);
        feature("scheduled message", this::scheduled);
        feature("client id in use", this::clientId);
        feature("large message", this::large);
        feature("5,000 messages", this::many);
        feature("redelivered after a closed connection", this::redelivered);
        feature("virtual topic", this::virtualTopic);
        feature("no local", this::noLocal);
        feature("recover", this::recover);
        feature("XA", this::xa);
        feature("asynchronous send with a callback", this::callback);
        if (modern) {
            feature("context of JMS 2", this::context);
        }
    }

    private void feature(String name, Feature f) {
        try {
            f.run();
            System.out.println("ok " + name);
        } catch (Throwable e) {
            System.out.println("FAIL " + name + ": " + e);
            e.printStackTrace();
        }
    }

    private static void check(boolean ok, String what) {
        if (!ok) {
            throw new AssertionError(what);
        }
    }

    private static void equal(Object got, Object want) {
        check(got == null ? want == null : got.equals(want), "got " + got + ", want " + want);
    }

    private String name() {
        return "features." + ++serial;
    }

    private Connection connect(String options) throws JMSException {
        Connection c = new ActiveMQConnectionFactory(url + options).createConnection();
        c.start();
        return c;
    }

    private static void sendText(Session s, Destination d, String... texts) throws JMSException {
        MessageProducer p = s.createProducer(d);
        for (String t : texts) {
            p.send(s.createTextMessage(t));
        }
        p.close();
    }

    private static String receive(MessageConsumer c) throws JMSException {
        Message m = c.receive(WAIT);
        check(m != null, "nothing was received");
        return ((TextMessage) m).getText();
    }

    private static void nothing(MessageConsumer c) throws JMSException {
        Message m = c.receive(300);
        check(m == null, "received " + m);
    }

    private void text() throws Exception {
        try (Connection c = connect("")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Queue q = s.createQueue(name());
            sendText(s, q, "hello", "", "caf\u00e9 \u4e2d\u6587 \ud83d\ude00 nul:\u0000 end");
            MessageConsumer r = s.createConsumer(q);
            equal(receive(r), "hello");
            equal(receive(r), "");
            equal(receive(r), "caf\u00e9 \u4e2d\u6587 \ud83d\ude00 nul:\u0000 end");
            nothing(r);
        }
    }

    private void types() throws Exception {
        roundTrip("");
    }

    private void compression() throws Exception {
        roundTrip("?jms.useCompression=true");
    }

    private void roundTrip(String options) throws Exception {
        ActiveMQConnectionFactory f = new ActiveMQConnectionFactory(url + options);
        f.setTrustAllPackages(true);
        try (Connection c = f.createConnection()) {
            c.start();
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Queue q = s.createQueue(name());
            MessageProducer p = s.createProducer(q);
            BytesMessage b = s.createBytesMessage();
            b.writeInt(42);
            b.writeUTF("bytes");
            p.send(b);
            MapMessage m = s.createMapMessage();
            m.setString("s", "text");
            m.setLong("l", Long.MIN_VALUE);
            m.setDouble("d", 2.5);
            m.setBytes("b", new byte[] {1, 2, 3});
            p.send(m);
            StreamMessage st = s.createStreamMessage();
            st.writeBoolean(true);
            st.writeString("stream");
            st.writeFloat(1.5f);
            p.send(st);
            ArrayList<String> list = new ArrayList<>(List.of("a", "b"));
            p.send(s.createObjectMessage(list));
            p.send(s.createMessage());
            p.send(s.createTextMessage("x".repeat(5000)));
            MessageConsumer r = s.createConsumer(q);
            b = (BytesMessage) r.receive(WAIT);
            equal(b.readInt(), 42);
            equal(b.readUTF(), "bytes");
            m = (MapMessage) r.receive(WAIT);
            equal(m.getString("s"), "text");
            equal(m.getLong("l"), Long.MIN_VALUE);
            equal(m.getDouble("d"), 2.5);
            equal(m.getBytes("b").length, 3);
            st = (StreamMessage) r.receive(WAIT);
            equal(st.readBoolean(), true);
            equal(st.readString(), "stream");
            equal(st.readFloat(), 1.5f);
            equal(((ObjectMessage) r.receive(WAIT)).getObject(), list);
            check(r.receive(WAIT) != null, "no plain message");
            equal(receive(r), "x".repeat(5000));
        }
    }

    private void properties() throws Exception {
        try (Connection c = connect("")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Queue q = s.createQueue(name());
            Message m = s.createTextMessage("x");
            m.setBooleanProperty("bool", true);
            m.setByteProperty("byte", (byte) -1);
            m.setShortProperty("short", (short) 300);
            m.setIntProperty("int", 70000);
            m.setLongProperty("long", 1L << 40);
            m.setFloatProperty("float", 0.5f);
            m.setDoubleProperty("double", -0.1);
            m.setStringProperty("string", "caf\u00e9");
            m.setJMSCorrelationID("correlation");
            m.setJMSType("type");
            m.setJMSReplyTo(s.createTopic("answers"));
            MessageProducer p = s.createProducer(q);
            p.setPriority(7);
            p.send(m);
            Message r = s.createConsumer(q).receive(WAIT);
            equal(r.getBooleanProperty("bool"), true);
            equal(r.getByteProperty("byte"), (byte) -1);
            equal(r.getShortProperty("short"), (short) 300);
            equal(r.getIntProperty("int"), 70000);
            equal(r.getLongProperty("long"), 1L << 40);
            equal(r.getFloatProperty("float"), 0.5f);
            equal(r.getDoubleProperty("double"), -0.1);
            equal(r.getStringProperty("string"), "caf\u00e9");
            equal(r.getJMSCorrelationID(), "correlation");
            equal(r.getJMSType(), "type");
            equal(r.getJMSReplyTo(), s.createTopic("answers"));
            equal(r.getJMSMessageID(), m.getJMSMessageID());
            equal(r.getJMSTimestamp(), m.getJMSTimestamp());
            equal(r.getJMSPriority(), 7);
            equal(r.getJMSDeliveryMode(), DeliveryMode.PERSISTENT);
            equal(r.getJMSRedelivered(), false);
            equal(r.getJMSDestination(), q);
        }
    }

    private void clientAck() throws Exception {
        try (Connection c = connect("")) {
            Session s = c.createSession(false, Session.CLIENT_ACKNOWLEDGE);
            Queue q = s.createQueue(name());
            sendText(s, q, "1", "2", "3");
            MessageConsumer r = s.createConsumer(q);
            receive(r);
            Message second = r.receive(WAIT);
            second.acknowledge();
            r.close();
            s.close();
            s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            r = s.createConsumer(q);
            equal(receive(r), "3");
            nothing(r);
        }
    }

    private void individualAck() throws Exception {
        Queue q;
        try (Connection c = connect("")) {
            Session s = c.createSession(false, ActiveMQSession.INDIVIDUAL_ACKNOWLEDGE);
            q = s.createQueue(name());
            sendText(s, q, "1", "2", "3");
            MessageConsumer r = s.createConsumer(q);
            receive(r);
            r.receive(WAIT).acknowledge();
            receive(r);
        }
        try (Connection c = connect("")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            MessageConsumer r = s.createConsumer(q);
            Message m = r.receive(WAIT);
            equal(((TextMessage) m).getText(), "1");
            equal(m.getJMSRedelivered(), true);
            equal(receive(r), "3");
            nothing(r);
        }
    }

    private void dupsOk() throws Exception {
        for (String options : new String[] {"", "?jms.optimizeAcknowledge=true&jms.prefetchPolicy.queuePrefetch=20"}) {
            try (Connection c = connect(options)) {
                Session s = c.createSession(false, options.isEmpty() ? Session.DUPS_OK_ACKNOWLEDGE : Session.AUTO_ACKNOWLEDGE);
                Queue q = s.createQueue(name());
                for (int i = 0; i < 100; i++) {
                    sendText(s, q, "" + i);
                }
                MessageConsumer r = s.createConsumer(q);
                for (int i = 0; i < 100; i++) {
                    equal(receive(r), "" + i);
                }
                r.close();
                nothing(s.createConsumer(q));
            }
        }
    }

    private void transaction() throws Exception {
        try (Connection c = connect("")) {
            Session s = c.createSession(true, Session.SESSION_TRANSACTED);
            Session other = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Queue q = s.createQueue(name());
            sendText(s, q, "gone");
            s.rollback();
            sendText(s, q, "1", "2");
            MessageConsumer watch = other.createConsumer(q);
            nothing(watch);
            watch.close();
            s.commit();
            MessageConsumer r = s.createConsumer(q);
            equal(receive(r), "1");
            s.rollback();
            Message m = r.receive(WAIT);
            equal(((TextMessage) m).getText(), "1");
            equal(m.getJMSRedelivered(), true);
            equal(receive(r), "2");
            s.commit();
            r.close();
            nothing(other.createConsumer(q));
        }
    }

    private void poison() throws Exception {
        try (Connection c = connect("?jms.redeliveryPolicy.maximumRedeliveries=2&jms.redeliveryPolicy.initialRedeliveryDelay=10&jms.redeliveryPolicy.redeliveryDelay=10")) {
            Session s = c.createSession(true, Session.SESSION_TRANSACTED);
            Queue q = s.createQueue(name());
            sendText(s, q, "poison");
            s.commit();
            MessageConsumer r = s.createConsumer(q);
            for (int i = 0; i < 3; i++) {
                equal(receive(r), "poison");
                s.rollback();
            }
            nothing(r);
            Session plain = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            MessageConsumer dead = plain.createConsumer(plain.createQueue("ActiveMQ.DLQ"), "dlqOriginalDestination = 'queue://" + q.getQueueName() + "'");
            equal(receive(dead), "poison");
        }
    }

    private void topic() throws Exception {
        try (Connection c = connect("")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Topic t = s.createTopic(name());
            MessageConsumer a = s.createConsumer(t);
            MessageConsumer b = s.createConsumer(t);
            for (int i = 0; i < 50; i++) {
                sendText(s, t, "" + i);
            }
            for (int i = 0; i < 50; i++) {
                equal(receive(a), "" + i);
                equal(receive(b), "" + i);
            }
        }
    }

    private void wildcards() throws Exception {
        try (Connection c = connect("")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            String n = name();
            MessageConsumer a = s.createConsumer(s.createTopic(n + ".*.end"));
            MessageConsumer b = s.createConsumer(s.createQueue(n + ".>"));
            sendText(s, s.createTopic(n + ".x.end"), "topic");
            sendText(s, s.createTopic(n + ".x.y.end"), "no");
            sendText(s, s.createQueue(n + ".q.1"), "queue");
            equal(receive(a), "topic");
            nothing(a);
            Message m = b.receive(WAIT);
            equal(m.getJMSDestination(), s.createQueue(n + ".q.1"));
        }
    }

    private void composite() throws Exception {
        try (Connection c = connect("")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            String n = name();
            MessageConsumer t = s.createConsumer(s.createTopic(n + ".t"));
            sendText(s, new ActiveMQQueue(n + ".a," + n + ".b,topic://" + n + ".t"), "all");
            equal(receive(s.createConsumer(s.createQueue(n + ".a"))), "all");
            equal(receive(s.createConsumer(s.createQueue(n + ".b"))), "all");
            equal(receive(t), "all");
        }
    }

    private void durable() throws Exception {
        String n = name();
        for (int round = 0; round < 2; round++) {
            try (Connection c = new ActiveMQConnectionFactory(url).createConnection()) {
                c.setClientID("durable-" + n);
                c.start();
                Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
                Topic t = s.createTopic(n);
                MessageConsumer r = s.createDurableSubscriber(t, "sub");
                if (round == 0) {
                    try (Connection other = connect("")) {
                        nothing(r);
                    }
                    r.close();
                    sendText(s, t, "kept");
                } else {
                    equal(receive(r), "kept");
                    r.close();
                    s.unsubscribe("sub");
                    try {
                        s.unsubscribe("sub");
                        check(false, "unsubscribed twice");
                    } catch (InvalidDestinationException e) {
                        // as it should
                    }
                }
            }
        }
    }

    private void selector() throws Exception {
        try (Connection c = connect("")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Queue q = s.createQueue(name());
            MessageProducer p = s.createProducer(q);
            for (int i = 0; i < 10; i++) {
                Message m = s.createTextMessage("" + i);
                m.setIntProperty("n", i);
                m.setJMSType(i % 2 == 0 ? "even" : "odd");
                p.send(m);
            }
            MessageConsumer r = s.createConsumer(q, "n > 6 AND JMSType = 'even'");
            equal(receive(r), "8");
            nothing(r);
            MessageConsumer id = s.createConsumer(q, "n = 3");
            equal(receive(id), "3");
        }
    }

    private void invalidSelector() throws Exception {
        try (Connection c = connect("")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            try {
                s.createConsumer(s.createQueue(name()), "n = = 3");
                check(false, "a wrong selector was taken");
            } catch (InvalidSelectorException e) {
                // as it should
            }
        }
    }

    private void browser() throws Exception {
        try (Connection c = connect("")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Queue q = s.createQueue(name());
            sendText(s, q, "1", "2", "3");
            for (int round = 0; round < 2; round++) {
                QueueBrowser b = s.createBrowser(q);
                List<?> seen = Collections.list((Enumeration<?>) b.getEnumeration());
                equal(seen.size(), 3);
                equal(((TextMessage) seen.get(2)).getText(), "3");
                b.close();
            }
            equal(receive(s.createConsumer(q)), "1");
        }
    }

    private void priority() throws Exception {
        try (Connection c = connect("?jms.prefetchPolicy.all=1")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Queue q = s.createQueue(name());
            MessageProducer p = s.createProducer(q);
            for (int i = 0; i < 10; i++) {
                p.send(s.createTextMessage("" + i), DeliveryMode.PERSISTENT, i, 0);
            }
            MessageConsumer r = s.createConsumer(q);
            for (int i = 9; i >= 0; i--) {
                equal(receive(r), "" + i);
            }
        }
    }

    private void expiry() throws Exception {
        try (Connection c = connect("")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Queue q = s.createQueue(name());
            MessageProducer p = s.createProducer(q);
            p.send(s.createTextMessage("old"), DeliveryMode.NON_PERSISTENT, 4, 1);
            p.send(s.createTextMessage("new"));
            Thread.sleep(50);
            equal(receive(s.createConsumer(q)), "new");
        }
    }

    private void requestReply() throws Exception {
        Connection server = connect("");
        try (Connection client = connect("")) {
            Session ss = server.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Queue q = ss.createQueue(name());
            MessageProducer answers = ss.createProducer(null);
            ss.createConsumer(q).setMessageListener(m -> {
                try {
                    TextMessage a = ss.createTextMessage("re: " + ((TextMessage) m).getText());
                    a.setJMSCorrelationID(m.getJMSMessageID());
                    answers.send(m.getJMSReplyTo(), a);
                } catch (JMSException e) {
                    e.printStackTrace();
                }
            });
            Session s = client.createSession(false, Session.AUTO_ACKNOWLEDGE);
            for (Destination reply : new Destination[] {s.createTemporaryQueue(), s.createTemporaryTopic()}) {
                MessageConsumer r = s.createConsumer(reply);
                for (int i = 0; i < 20; i++) {
                    Message m = s.createTextMessage("q" + i);
                    m.setJMSReplyTo(reply);
                    s.createProducer(q).send(m);
                    TextMessage a = (TextMessage) r.receive(WAIT);
                    check(a != null, "no answer");
                    equal(a.getText(), "re: q" + i);
                    equal(a.getJMSCorrelationID(), m.getJMSMessageID());
                }
                r.close();
                if (reply instanceof TemporaryQueue) {
                    ((TemporaryQueue) reply).delete();
                }
            }
        }
        server.close();
    }

    private void foreignTemp() throws Exception {
        Connection owner = connect("");
        try (Connection c = connect("?jms.watchTopicAdvisories=false")) {
            TemporaryQueue q = owner.createSession(false, Session.AUTO_ACKNOWLEDGE).createTemporaryQueue();
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            sendText(s, q, "may be sent");
            try {
                s.createConsumer(new org.apache.activemq.command.ActiveMQTempQueue(((Queue) q).getQueueName()));
                check(false, "consumed from another's temporary queue");
            } catch (JMSException e) {
                // as it should
            }
            owner.close();
            try {
                sendText(s, q, "too late");
                check(false, "sent to a temporary queue that is gone");
            } catch (JMSException e) {
                // as it should
            }
        }
        owner.close();
    }

    private void pull() throws Exception {
        try (Connection c = connect("?jms.prefetchPolicy.all=0")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Queue q = s.createQueue(name());
            MessageConsumer r = s.createConsumer(q);
            check(r.receiveNoWait() == null, "something is there");
            check(r.receive(100) == null, "something is there");
            sendText(s, q, "1", "2", "3");
            equal(receive(r), "1");
            MessageConsumer other = s.createConsumer(q);
            equal(receive(other), "2");
            equal(((TextMessage) r.receiveNoWait()).getText(), "3");
        }
    }

    private void prefetchOne() throws Exception {
        try (Connection c = connect("?jms.prefetchPolicy.all=1")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Session other = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Queue q = s.createQueue(name());
            MessageConsumer a = s.createConsumer(q);
            MessageConsumer b = other.createConsumer(q);
            for (int i = 0; i < 10; i++) {
                sendText(s, q, "" + i);
            }
            int n = 0;
            for (int i = 0; i < 5; i++) {
                n += a.receive(WAIT) != null ? 1 : 0;
                n += b.receive(WAIT) != null ? 1 : 0;
            }
            equal(n, 10);
        }
    }

    private void listener() throws Exception {
        try (Connection c = connect("")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Queue q = s.createQueue(name());
            CountDownLatch all = new CountDownLatch(100);
            s.createConsumer(q).setMessageListener(m -> all.countDown());
            Session sender = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            for (int i = 0; i < 100; i++) {
                sendText(sender, q, "" + i);
            }
            check(all.await(WAIT, TimeUnit.MILLISECONDS), all.getCount() + " did not come");
        }
    }

    private void window() throws Exception {
        try (Connection c = connect("?jms.useAsyncSend=true&jms.producerWindowSize=10000")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Queue q = s.createQueue(name());
            MessageProducer p = s.createProducer(q);
            for (int i = 0; i < 500; i++) {
                p.send(s.createTextMessage("m" + i));
            }
            MessageConsumer r = s.createConsumer(q);
            for (int i = 0; i < 500; i++) {
                equal(receive(r), "m" + i);
            }
        }
    }

    private void exclusive() throws Exception {
        try (Connection c = connect("")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            String n = name();
            MessageConsumer first = s.createConsumer(s.createQueue(n + "?consumer.exclusive=true"));
            MessageConsumer second = s.createConsumer(s.createQueue(n + "?consumer.exclusive=true"));
            sendText(s, s.createQueue(n), "1", "2", "3", "4");
            for (int i = 1; i <= 4; i++) {
                equal(receive(first), "" + i);
            }
            first.close();
            sendText(s, s.createQueue(n), "5");
            equal(receive(second), "5");
        }
    }

    private void groups() throws Exception {
        try (Connection c = connect("?jms.prefetchPolicy.all=1")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Queue q = s.createQueue(name());
            MessageConsumer a = s.createConsumer(q);
            MessageConsumer b = c.createSession(false, Session.AUTO_ACKNOWLEDGE).createConsumer(q);
            MessageProducer p = s.createProducer(q);
            for (int i = 0; i < 8; i++) {
                Message m = s.createTextMessage("" + i);
                m.setStringProperty("JMSXGroupID", i % 2 == 0 ? "even" : "odd");
                p.send(m);
            }
            for (MessageConsumer r : new MessageConsumer[] {a, b}) {
                String group = null;
                for (int i = 0; i < 4; i++) {
                    Message m = r.receive(WAIT);
                    check(m != null, "a message of the group is missing");
                    String g = m.getStringProperty("JMSXGroupID");
                    check(group == null || group.equals(g), "two groups at one consumer");
                    group = g;
                }
            }
        }
    }

    private void scheduled() throws Exception {
        try (Connection c = connect("")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Queue q = s.createQueue(name());
            Message m = s.createTextMessage("later");
            m.setLongProperty("AMQ_SCHEDULED_DELAY", 1000);
            long start = System.currentTimeMillis();
            s.createProducer(q).send(m);
            MessageConsumer r = s.createConsumer(q);
            m = r.receive(WAIT);
            long took = System.currentTimeMillis() - start;
            check(took >= 950 && took < 5000, "it came after " + took + " ms");
            check(m.getStringProperty("scheduledJobId") != null, "no scheduledJobId");
            check(!m.propertyExists("AMQ_SCHEDULED_DELAY"), "the delay is still there");
        }
    }

    private void clientId() throws Exception {
        try (Connection a = new ActiveMQConnectionFactory(url).createConnection();
             Connection b = new ActiveMQConnectionFactory(url).createConnection()) {
            a.setClientID("twice");
            a.start();
            try {
                b.setClientID("twice");
                b.start();
                check(false, "two clients have one id");
            } catch (InvalidClientIDException e) {
                // as it should
            }
        }
    }

    private void large() throws Exception {
        try (Connection c = connect("")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Queue q = s.createQueue(name());
            BytesMessage b = s.createBytesMessage();
            b.writeBytes(new byte[5 << 20]);
            s.createProducer(q).send(b);
            equal(((BytesMessage) s.createConsumer(q).receive(WAIT)).getBodyLength(), 5L << 20);
        }
    }

    private void many() throws Exception {
        try (Connection c = connect("?jms.useAsyncSend=true")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Queue q = s.createQueue(name());
            MessageProducer p = s.createProducer(q);
            for (int i = 0; i < 5000; i++) {
                p.send(s.createTextMessage("" + i));
            }
            MessageConsumer r = s.createConsumer(q);
            for (int i = 0; i < 5000; i++) {
                equal(receive(r), "" + i);
            }
        }
    }

    private void redelivered() throws Exception {
        Queue q;
        try (Connection c = connect("")) {
            Session s = c.createSession(false, Session.CLIENT_ACKNOWLEDGE);
            q = s.createQueue(name());
            sendText(s, q, "seen", "unseen");
            equal(receive(s.createConsumer(q)), "seen");
        }
        try (Connection c = connect("")) {
            MessageConsumer r = c.createSession(false, Session.AUTO_ACKNOWLEDGE).createConsumer(q);
            Message m = r.receive(WAIT);
            equal(((TextMessage) m).getText(), "seen");
            equal(m.getJMSRedelivered(), true);
            equal(m.getIntProperty("JMSXDeliveryCount"), 2);
            m = r.receive(WAIT);
            equal(((TextMessage) m).getText(), "unseen");
            equal(m.getJMSRedelivered(), false);
        }
    }

    private void virtualTopic() throws Exception {
        try (Connection c = connect("")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            String n = "VirtualTopic." + name();
            MessageConsumer a = s.createConsumer(s.createQueue("Consumer.A." + n));
            MessageConsumer b = s.createConsumer(s.createQueue("Consumer.B." + n));
            sendText(s, s.createTopic(n), "both");
            equal(receive(a), "both");
            equal(receive(b), "both");
        }
    }

    private void noLocal() throws Exception {
        try (Connection c = connect(""); Connection other = connect("")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Topic t = s.createTopic(name());
            MessageConsumer r = s.createConsumer(t, null, true);
            sendText(s, t, "own");
            sendText(other.createSession(false, Session.AUTO_ACKNOWLEDGE), t, "other's");
            equal(receive(r), "other's");
        }
    }

    private void recover() throws Exception {
        try (Connection c = connect("")) {
            Session s = c.createSession(false, Session.CLIENT_ACKNOWLEDGE);
            Queue q = s.createQueue(name());
            sendText(s, q, "1", "2");
            MessageConsumer r = s.createConsumer(q);
            equal(receive(r), "1");
            equal(receive(r), "2");
            s.recover();
            equal(receive(r), "1");
            Message m = r.receive(WAIT);
            equal(((TextMessage) m).getText(), "2");
            equal(m.getJMSRedelivered(), true);
            m.acknowledge();
        }
    }

    private void callback() throws Exception {
        try (Connection c = connect("")) {
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Queue q = s.createQueue(name());
            ActiveMQMessageProducer p = (ActiveMQMessageProducer) s.createProducer(q);
            CountDownLatch all = new CountDownLatch(100);
            for (int i = 0; i < 100; i++) {
                p.send(s.createTextMessage("" + i), new AsyncCallback() {
                    @Override
                    public void onSuccess() {
                        all.countDown();
                    }

                    @Override
                    public void onException(JMSException e) {
                        e.printStackTrace();
                    }
                });
            }
            check(all.await(WAIT, TimeUnit.MILLISECONDS), all.getCount() + " were not answered");
            MessageConsumer r = s.createConsumer(q);
            for (int i = 0; i < 100; i++) {
                equal(receive(r), "" + i);
            }
        }
    }

    private void context() throws Exception {
        try (JMSContext c = new ActiveMQConnectionFactory(url).createContext(JMSContext.SESSION_TRANSACTED)) {
            Queue q = c.createQueue(name());
            JMSProducer p = c.createProducer().setPriority(8).setProperty("number", 7);
            p.send(q, "gone");
            c.rollback();
            p.send(q, "kept");
            c.commit();
            JMSConsumer r = c.createConsumer(q);
            Message m = r.receive(WAIT);
            check(m != null, "nothing was received");
            equal(((TextMessage) m).getText(), "kept");
            equal(m.getJMSPriority(), 8);
            equal(m.getIntProperty("number"), 7);
            c.commit();
        }
    }

    private static final class Branch implements Xid {
        private final byte[] global;

        private Branch(String name) {
            global = name.getBytes();
        }

        public int getFormatId() {
            return 42;
        }

        public byte[] getGlobalTransactionId() {
            return global;
        }

        public byte[] getBranchQualifier() {
            return new byte[] {1};
        }
    }

    private void xa() throws Exception {
        ActiveMQXAConnectionFactory f = new ActiveMQXAConnectionFactory(url);
        String n = name();
        try (XAConnection c = f.createXAConnection()) {
            c.start();
            XASession s = c.createXASession();
            XAResource r = s.getXAResource();
            Queue q = s.createQueue(n);
            MessageProducer p = s.createProducer(q);
            for (String name : new String[] {"rolled back", "one phase", "two phases", "left"}) {
                Xid x = new Branch(n + name);
                r.start(x, XAResource.TMNOFLAGS);
                p.send(s.createTextMessage(name));
                r.end(x, XAResource.TMSUCCESS);
                switch (name) {
                    case "rolled back":
                        equal(r.prepare(x), XAResource.XA_OK);
                        r.rollback(x);
                        break;
                    case "one phase":
                        r.commit(x, true);
                        break;
                    case "two phases":
                        equal(r.prepare(x), XAResource.XA_OK);
                        r.commit(x, false);
                        break;
                    default:
                        equal(r.prepare(x), XAResource.XA_OK);
                }
            }
            try {
                r.commit(new Branch(n + "unknown"), false);
                check(false, "an unknown branch was committed");
            } catch (XAException e) {
                equal(e.errorCode, XAException.XAER_NOTA);
            }
        }
        try (XAConnection c = f.createXAConnection(); Connection plain = connect("")) {
            c.start();
            MessageConsumer seen = plain.createSession(false, Session.AUTO_ACKNOWLEDGE).createConsumer(new ActiveMQQueue(n));
            equal(receive(seen), "one phase");
            equal(receive(seen), "two phases");
            nothing(seen);
            XAResource r = c.createXASession().getXAResource();
            int found = 0;
            for (Xid x : r.recover(XAResource.TMSTARTRSCAN)) {
                if (new String(x.getGlobalTransactionId()).equals(n + "left")) {
                    r.commit(x, false);
                    found++;
                }
            }
            equal(found, 1);
            equal(receive(seen), "left");
        }
    }
}
