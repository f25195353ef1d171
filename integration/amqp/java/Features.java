import jakarta.jms.*;
import jakarta.jms.Queue;
import java.util.*;
import java.util.concurrent.*;
import org.apache.qpid.jms.JmsConnectionFactory;

/** What JMS applications do, with Qpid JMS: one line a feature. Usage: Features HOST:PORT */
public final class Features {
    static final long WAIT = 15_000;
    static final long MOMENT = 300;
    static String address;
    static int names;

    interface Feature { void run() throws Exception; }

    /** A connection and a session of it, closed together. */
    static final class Client implements AutoCloseable {
        final Connection connection;
        final Session session;

        Client(String id, int mode) throws JMSException {
            JmsConnectionFactory factory = new JmsConnectionFactory("amqp://" + address + "?jms.prefetchPolicy.all=100");
            connection = factory.createConnection();
            if (id != null) {
                connection.setClientID(id);
            }
            connection.start();
            session = mode == Session.SESSION_TRANSACTED
                ? connection.createSession(true, mode) : connection.createSession(false, mode);
        }

        Client() throws JMSException { this(null, Session.AUTO_ACKNOWLEDGE); }

        Queue queue() throws JMSException { return session.createQueue("qpid." + names++); }
        Topic topic() throws JMSException { return session.createTopic("qpid." + names++); }

        void send(Destination d, Message m) throws JMSException {
            MessageProducer p = session.createProducer(d);
            p.send(m);
            p.close();
        }

        void send(Destination d, String text) throws JMSException { send(d, session.createTextMessage(text)); }

        @Override public void close() throws JMSException { connection.close(); }
    }

    static void check(boolean ok, String what, Object... args) {
        if (!ok) {
            throw new AssertionError(String.format(what, args));
        }
    }

    static String text(Message m) throws JMSException {
        check(m != null, "no message came");
        check(m instanceof TextMessage, "a %s came", m.getClass());
        return ((TextMessage) m).getText();
    }

    static String receive(MessageConsumer c) throws JMSException { return text(c.receive(WAIT)); }

    static void expect(MessageConsumer c, String... want) throws JMSException {
        for (String w : want) {
            String got = receive(c);
            check(got.equals(w), "got %s, want %s", got, w);
        }
    }

    static void nothing(MessageConsumer c) throws JMSException {
        Message m = c.receive(MOMENT);
        check(m == null, "got %s, want nothing", m);
    }

    static void messageTypes() throws Exception {
        try (Client c = new Client()) {
            Queue q = c.queue();
            MessageConsumer in = c.session.createConsumer(q);
            c.send(q, c.session.createMessage());
            Message plain = in.receive(WAIT);
            check(!(plain instanceof TextMessage) && !(plain instanceof BytesMessage), "a %s came", plain.getClass());
            BytesMessage bytes = c.session.createBytesMessage();
            bytes.writeInt(7);
            bytes.writeUTF("x");
            c.send(q, bytes);
            bytes = (BytesMessage) in.receive(WAIT);
            check(bytes.readInt() == 7 && bytes.readUTF().equals("x"), "bytes differ");
            MapMessage map = c.session.createMapMessage();
            map.setInt("i", 1);
            map.setString("s", "t");
            map.setBytes("b", new byte[] {1, 2});
            map.setChar("c", 'é');
            c.send(q, map);
            map = (MapMessage) in.receive(WAIT);
            check(map.getInt("i") == 1 && map.getString("s").equals("t") && map.getBytes("b").length == 2 && map.getChar("c") == 'é', "map differs");
            StreamMessage stream = c.session.createStreamMessage();
            stream.writeDouble(1.5);
            stream.writeString("y");
            c.send(q, stream);
            stream = (StreamMessage) in.receive(WAIT);
            check(stream.readDouble() == 1.5 && stream.readString().equals("y"), "stream differs");
            c.send(q, c.session.createObjectMessage(new ArrayList<>(List.of("a", "b"))));
            ObjectMessage object = (ObjectMessage) in.receive(WAIT);
            check(object.getObject().equals(List.of("a", "b")), "object differs");
        }
    }

    static void headersAndProperties() throws Exception {
        try (Client c = new Client()) {
            Queue q = c.queue();
            TextMessage m = c.session.createTextMessage("x");
            m.setJMSType("kind");
            m.setJMSCorrelationID("corr");
            m.setJMSReplyTo(c.session.createTopic("answers"));
            m.setBooleanProperty("flag", true);
            m.setByteProperty("byte", (byte) 3);
            m.setShortProperty("short", (short) -3);
            m.setIntProperty("int", 1 << 20);
            m.setLongProperty("long", 1L << 40);
            m.setFloatProperty("float", 1.25f);
            m.setDoubleProperty("double", -2.5);
            m.setStringProperty("string", "é");
            MessageProducer out = c.session.createProducer(q);
            out.send(m, DeliveryMode.PERSISTENT, 7, 60_000);
            Message got = c.session.createConsumer(q).receive(WAIT);
            check(got.getJMSDestination().equals(q), "destination %s, want %s", got.getJMSDestination(), q);
            check(got.getJMSReplyTo() instanceof Topic && ((Topic) got.getJMSReplyTo()).getTopicName().equals("answers"), "reply-to %s", got.getJMSReplyTo());
            check(got.getJMSType().equals("kind") && got.getJMSCorrelationID().equals("corr"), "type or correlation id");
            check(got.getJMSPriority() == 7 && got.getJMSDeliveryMode() == DeliveryMode.PERSISTENT, "priority or mode");
            check(got.getJMSMessageID().equals(m.getJMSMessageID()), "id %s, want %s", got.getJMSMessageID(), m.getJMSMessageID());
            check(got.getJMSExpiration() == m.getJMSExpiration() && got.getJMSExpiration() > 0, "expiration");
            check(got.getBooleanProperty("flag") && got.getByteProperty("byte") == 3 && got.getShortProperty("short") == -3
                && got.getIntProperty("int") == 1 << 20 && got.getLongProperty("long") == 1L << 40
                && got.getFloatProperty("float") == 1.25f && got.getDoubleProperty("double") == -2.5
                && got.getStringProperty("string").equals("é"), "properties");
            check(!got.getJMSRedelivered() && got.getIntProperty("JMSXDeliveryCount") == 1, "redelivered");
        }
    }

    static void selectors() throws Exception {
        try (Client c = new Client()) {
            Queue q = c.queue();
            for (int i = 0; i < 4; i++) {
                TextMessage m = c.session.createTextMessage("m" + i);
                m.setIntProperty("n", i);
                m.setJMSType(i % 2 == 0 ? "even" : "odd");
                c.send(q, m);
            }
            expect(c.session.createConsumer(q, "n > 1 AND JMSType = 'odd'"), "m3");
            expect(c.session.createConsumer(q, "n BETWEEN 1 AND 2"), "m1", "m2");
            try {
                c.session.createConsumer(q, "n = = 1");
                check(false, "a selector that makes no sense was taken");
            } catch (InvalidSelectorException expected) {
                // as it should be
            }
        }
    }

    static void priorities() throws Exception {
        try (Client c = new Client()) {
            Queue q = c.queue();
            MessageProducer out = c.session.createProducer(q);
            for (int p : new int[] {1, 9, 5}) {
                out.send(c.session.createTextMessage("p" + p), DeliveryMode.NON_PERSISTENT, p, 0);
            }
            expect(c.session.createConsumer(q), "p9", "p5", "p1");
        }
    }

    static void topics() throws Exception {
        try (Client c = new Client(); Client d = new Client()) {
            Topic t = c.topic();
            MessageConsumer one = c.session.createConsumer(t), two = d.session.createConsumer(t);
            MessageConsumer wild = d.session.createConsumer(d.session.createTopic("qpid.>"));
            MessageConsumer mine = c.session.createConsumer(t, null, true);
            c.send(t, "x");
            expect(one, "x");
            expect(two, "x");
            expect(wild, "x");
            nothing(mine);
        }
    }

    static void durableSubscriptions() throws Exception {
        Topic t;
        try (Client c = new Client("durable", Session.AUTO_ACKNOWLEDGE)) {
            t = c.topic();
            c.session.createDurableSubscriber(t, "sub", "n > 0", false);
        }
        try (Client p = new Client()) {
            for (int i = 0; i < 3; i++) {
                TextMessage m = p.session.createTextMessage("m" + i);
                m.setIntProperty("n", i);
                p.send(t, m);
            }
        }
        try (Client c = new Client("durable", Session.AUTO_ACKNOWLEDGE)) {
            MessageConsumer in = c.session.createDurableSubscriber(t, "sub", "n > 0", false);
            expect(in, "m1", "m2");
            try {
                c.session.unsubscribe("sub");
                check(false, "an active subscription was removed");
            } catch (JMSException expected) {
                // as it should be
            }
            in.close();
            c.session.unsubscribe("sub");
            try {
                c.session.unsubscribe("sub");
                check(false, "a subscription that is gone was removed");
            } catch (InvalidDestinationException expected) {
                // as it should be
            }
        }
    }

    static void sharedSubscriptions() throws Exception {
        try (Client a = new Client(); Client b = new Client()) {
            Topic t = a.topic();
            MessageConsumer one = a.session.createSharedConsumer(t, "shared"), two = b.session.createSharedConsumer(t, "shared");
            for (int i = 0; i < 10; i++) {
                a.send(t, "m" + i);
            }
            Set<String> got = new HashSet<>();
            for (int i = 0; i < 10; i++) {
                Message m = one.receive(MOMENT);
                got.add(text(m != null ? m : two.receive(WAIT)));
            }
            check(got.size() == 10, "got %s", got);
            nothing(one);
            nothing(two);
        }
    }

    static void sharedDurableSubscriptions() throws Exception {
        for (String id : new String[] {null, "sharer"}) {
            Topic t;
            String name = "sd" + names++;
            try (Client a = new Client(id, Session.AUTO_ACKNOWLEDGE)) {
                t = a.topic();
                Session second = a.connection.createSession();
                MessageConsumer one = a.session.createSharedDurableConsumer(t, name), two = second.createSharedDurableConsumer(t, name);
                a.send(t, "x");
                Message m = one.receive(MOMENT);
                check(text(m != null ? m : two.receive(WAIT)).equals("x"), "got %s", m);
            }
            try (Client b = new Client()) {
                b.send(t, "while away");
            }
            try (Client a = new Client(id, Session.AUTO_ACKNOWLEDGE)) {
                MessageConsumer in = a.session.createSharedDurableConsumer(t, name);
                expect(in, "while away");
                in.close();
                a.session.unsubscribe(name);
            }
        }
    }

    static void transactions() throws Exception {
        try (Client c = new Client(null, Session.SESSION_TRANSACTED); Client d = new Client()) {
            Queue q = c.queue(), r = c.queue();
            MessageConsumer seen = d.session.createConsumer(q);
            c.send(q, "rolled back");
            c.session.rollback();
            c.send(q, "one");
            c.send(q, "two");
            nothing(seen);
            c.session.commit();
            expect(seen, "one", "two");

            d.send(r, "x");
            MessageConsumer in = c.session.createConsumer(r);
            expect(in, "x");
            c.send(q, "never");
            c.session.rollback();
            Message again = in.receive(WAIT);
            check(text(again).equals("x") && again.getJMSRedelivered() && again.getIntProperty("JMSXDeliveryCount") == 2,
                "after the rollback came %s, redelivered %s, count %s", again, again.getJMSRedelivered(), again.getIntProperty("JMSXDeliveryCount"));
            c.send(q, "forwarded");
            c.session.commit();
            expect(seen, "forwarded");
            nothing(in);
        }
    }

    static void manyTransactions() throws Exception {
        try (Client c = new Client(null, Session.SESSION_TRANSACTED); Client d = new Client(null, Session.SESSION_TRANSACTED)) {
            Queue q = c.queue();
            MessageConsumer in = d.session.createConsumer(q);
            for (int i = 0; i < 30; i++) {
                c.send(q, "a" + i);
                c.send(q, "b" + i);
                if (i % 3 == 0) {
                    c.session.rollback();
                    continue;
                }
                c.session.commit();
                expect(in, "a" + i, "b" + i);
                d.session.commit();
            }
            nothing(in);
        }
    }

    static void browsers() throws Exception {
        try (Client c = new Client()) {
            Queue q = c.queue();
            for (int round = 0; round < 2; round++) {
                c.send(q, "m" + round);
                QueueBrowser b = c.session.createBrowser(q);
                List<String> seen = new ArrayList<>();
                for (Enumeration<?> e = b.getEnumeration(); e.hasMoreElements();) {
                    seen.add(((TextMessage) e.nextElement()).getText());
                }
                check(seen.size() == round + 1, "browsed %s in round %d", seen, round);
                b.close();
            }
            expect(c.session.createConsumer(q), "m0", "m1");
        }
    }

    static void receiveNoWait() throws Exception {
        try (Client c = new Client()) {
            Queue q = c.queue();
            MessageConsumer in = c.session.createConsumer(q);
            check(in.receiveNoWait() == null, "something came");
            c.send(q, "x");
            Message m = null;
            for (long end = System.currentTimeMillis() + WAIT; m == null && System.currentTimeMillis() < end;) {
                m = in.receiveNoWait();
            }
            check(text(m).equals("x"), "got %s", m);
            in.close();
            JmsConnectionFactory factory = new JmsConnectionFactory("amqp://" + address + "?jms.prefetchPolicy.all=0&jms.receiveNoWaitLocalOnly=false");
            try (Connection pull = factory.createConnection()) {
                pull.start();
                Session s = pull.createSession();
                MessageConsumer zero = s.createConsumer(q);
                check(zero.receiveNoWait() == null, "something came without prefetch");
                c.send(q, "y");
                check(text(zero.receiveNoWait()).equals("y"), "a pull did not get what is there");
                check(zero.receive(MOMENT) == null, "something came");
                c.send(q, "z");
                check(receive(zero).equals("z"), "a pull that waits");
            }
        }
    }

    static void temporaryDestinations() throws Exception {
        try (Client server = new Client(); Client client = new Client()) {
            Queue q = server.queue();
            server.session.createConsumer(q).setMessageListener(m -> {
                try {
                    TextMessage answer = server.session.createTextMessage("re: " + ((TextMessage) m).getText());
                    answer.setJMSCorrelationID(m.getJMSMessageID());
                    server.send(m.getJMSReplyTo(), answer);
                } catch (JMSException e) {
                    throw new RuntimeException(e);
                }
            });
            for (Destination answers : new Destination[] {client.session.createTemporaryQueue(), client.session.createTemporaryTopic()}) {
                MessageConsumer in = client.session.createConsumer(answers);
                TextMessage request = client.session.createTextMessage("ask");
                request.setJMSReplyTo(answers);
                client.send(q, request);
                Message answer = in.receive(WAIT);
                check(text(answer).equals("re: ask"), "answer %s", answer);
                check(answer.getJMSCorrelationID().equals(request.getJMSMessageID()), "correlation id %s, want %s", answer.getJMSCorrelationID(), request.getJMSMessageID());
                check(answer.getJMSDestination().equals(answers), "destination %s, want %s", answer.getJMSDestination(), answers);
                in.close();
            }
            TemporaryQueue gone = client.session.createTemporaryQueue();
            gone.delete();
        }
    }

    static void clientAcknowledge() throws Exception {
        String name;
        try (Client c = new Client(null, Session.CLIENT_ACKNOWLEDGE)) {
            Queue q = c.queue();
            name = q.getQueueName();
            for (int i = 0; i < 3; i++) {
                c.send(q, "m" + i);
            }
            MessageConsumer in = c.session.createConsumer(q);
            receive(in);
            Message second = in.receive(WAIT);
            second.acknowledge();
            expect(in, "m2");
            c.session.recover();
            Message again = in.receive(WAIT);
            check(text(again).equals("m2") && again.getJMSRedelivered(), "after recover came %s", again);
        }
        try (Client c = new Client()) {
            expect(c.session.createConsumer(c.session.createQueue(name)), "m2");
        }
    }

    static void asynchronousSends() throws Exception {
        try (Client c = new Client()) {
            Queue q = c.queue();
            MessageProducer out = c.session.createProducer(q);
            CountDownLatch done = new CountDownLatch(50);
            for (int i = 0; i < 50; i++) {
                out.send(c.session.createTextMessage("m" + i), new CompletionListener() {
                    @Override public void onCompletion(Message m) { done.countDown(); }
                    @Override public void onException(Message m, Exception e) { e.printStackTrace(); }
                });
            }
            check(done.await(WAIT, TimeUnit.MILLISECONDS), "%d sends were not confirmed", done.getCount());
            MessageConsumer in = c.session.createConsumer(q);
            for (int i = 0; i < 50; i++) {
                expect(in, "m" + i);
            }
        }
    }

    static void deliveryDelay() throws Exception {
        try (Client c = new Client()) {
            Queue q = c.queue();
            MessageConsumer in = c.session.createConsumer(q);
            MessageProducer out = c.session.createProducer(q);
            out.setDeliveryDelay(700);
            long sent = System.nanoTime();
            out.send(c.session.createTextMessage("late"));
            c.send(q, "now");
            expect(in, "now", "late");
            long took = (System.nanoTime() - sent) / 1_000_000;
            check(took >= 690, "the delayed message came after %d ms", took);
        }
    }

    static void expiry() throws Exception {
        try (Client c = new Client()) {
            Queue q = c.queue();
            MessageProducer out = c.session.createProducer(q);
            out.setTimeToLive(50);
            out.send(c.session.createTextMessage("short"));
            Thread.sleep(200);
            c.send(q, "long");
            expect(c.session.createConsumer(q), "long");
        }
    }

    static void groups() throws Exception {
        try (Client c = new Client()) {
            Queue q = c.queue();
            TextMessage m = c.session.createTextMessage("g");
            m.setStringProperty("JMSXGroupID", "group");
            m.setIntProperty("JMSXGroupSeq", 3);
            c.send(q, m);
            Message got = c.session.createConsumer(q).receive(WAIT);
            check(got.getStringProperty("JMSXGroupID").equals("group") && got.getIntProperty("JMSXGroupSeq") == 3, "group");
        }
    }

    static void largeMessages() throws Exception {
        try (Client c = new Client()) {
            Queue q = c.queue();
            byte[] content = new byte[3 << 20];
            new Random(1).nextBytes(content);
            BytesMessage m = c.session.createBytesMessage();
            m.writeBytes(content);
            c.send(q, m);
            BytesMessage got = (BytesMessage) c.session.createConsumer(q).receive(WAIT);
            byte[] back = new byte[(int) got.getBodyLength()];
            got.readBytes(back);
            check(Arrays.equals(back, content), "%d bytes came back", back.length);
        }
    }

    static void jmsContext() throws Exception {
        JmsConnectionFactory factory = new JmsConnectionFactory("failover:(amqp://" + address + ")?failover.maxReconnectAttempts=3");
        try (JMSContext context = factory.createContext()) {
            Queue q = context.createQueue("qpid." + names++);
            context.createProducer().setProperty("k", "v").setPriority(8).send(q, "simple");
            check(context.createConsumer(q).receiveBody(String.class, WAIT).equals("simple"), "body");
        }
    }

    static void clientIds() throws Exception {
        try (Client c = new Client("taken", Session.AUTO_ACKNOWLEDGE)) {
            try (Client d = new Client("taken", Session.AUTO_ACKNOWLEDGE)) {
                check(false, "a client id was had twice");
            } catch (InvalidClientIDException expected) {
                // as it should be
            }
        }
    }

    public static void main(String[] args) {
        address = args[0];
        Map<String, Feature> all = new LinkedHashMap<>();
        all.put("message types", Features::messageTypes);
        all.put("headers and properties", Features::headersAndProperties);
        all.put("selectors", Features::selectors);
        all.put("priorities", Features::priorities);
        all.put("topics, wildcards, no-local", Features::topics);
        all.put("durable subscriptions", Features::durableSubscriptions);
        all.put("shared subscriptions", Features::sharedSubscriptions);
        all.put("shared durable subscriptions", Features::sharedDurableSubscriptions);
        all.put("transactions", Features::transactions);
        all.put("many transactions", Features::manyTransactions);
        all.put("browsers", Features::browsers);
        all.put("receiveNoWait and pulls", Features::receiveNoWait);
        all.put("temporary destinations", Features::temporaryDestinations);
        all.put("client acknowledge and recover", Features::clientAcknowledge);
        all.put("asynchronous sends", Features::asynchronousSends);
        all.put("delivery delay", Features::deliveryDelay);
        all.put("expiry", Features::expiry);
        all.put("groups", Features::groups);
        all.put("large messages", Features::largeMessages);
        all.put("context with failover URI", Features::jmsContext);
        all.put("client ids", Features::clientIds);
        boolean failed = false;
        for (Map.Entry<String, Feature> f : all.entrySet()) {
            try {
                f.getValue().run();
                System.out.println("ok " + f.getKey());
            } catch (Throwable e) {
                failed = true;
                System.out.println("FAILED " + f.getKey() + ": " + e);
                e.printStackTrace();
            }
        }
        System.exit(failed ? 1 : 0);
    }
}
