import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import javax.jms.*;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.command.ActiveMQDestination;
import org.apache.activemq.command.ActiveMQMessage;
import org.apache.activemq.command.ActiveMQObjectMessage;
import org.apache.activemq.util.ByteSequence;

/**
 * A JMS client that does what lines on standard input say, and answers each with a line: words with their values, URL-encoded, in
 * the order in which they came.
 */
public final class Peer {
    private final ActiveMQConnectionFactory factory;
    private final String id;
    private final Connection connection;
    private final Session session;
    private final Map<String, MessageConsumer> consumers = new HashMap<>();
    private final Map<String, Connection> connections = new HashMap<>();

    private Peer(String url, String id) throws JMSException {
        this.id = id;
        factory = new ActiveMQConnectionFactory(url);
        connection = factory.createConnection();
        connection.setClientID(id + "-out");
        connection.start();
        session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
    }

    public static void main(String[] args) throws Exception {
        Peer p = new Peer(args[0], args[1]);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String answer;
            try {
                answer = p.run(new Words(line));
            } catch (Exception e) {
                answer = new Words("error").add("text", e.toString()).toString();
            }
            System.out.println(answer);
        }
        System.exit(0);
    }

    /** A line taken apart: a verb, and names with values. */
    private static final class Words {
        private final String verb;
        private final List<String[]> list = new ArrayList<>();

        private Words(String line) {
            String[] parts = line.split(" ");
            verb = parts[0];
            for (int i = 1; i < parts.length; i++) {
                int at = parts[i].indexOf('=');
                list.add(new String[] {parts[i].substring(0, at), URLDecoder.decode(parts[i].substring(at + 1), StandardCharsets.UTF_8)});
            }
        }

        private Words add(String name, String value) {
            list.add(new String[] {name, value});
            return this;
        }

        private String get(String name) {
            return list.stream().filter(w -> w[0].equals(name)).map(w -> w[1]).findFirst().orElse("");
        }

        /** Entries of a list: name and value. */
        private List<String[]> entries(String name) {
            List<String[]> out = new ArrayList<>();
            for (String[] w : list) {
                if (w[0].equals(name)) {
                    int at = w[1].indexOf('=');
                    out.add(new String[] {w[1].substring(0, at), w[1].substring(at + 1)});
                }
            }
            return out;
        }

        @Override
        public String toString() {
            StringBuilder b = new StringBuilder(verb);
            for (String[] w : list) {
                b.append(' ').append(w[0]).append('=').append(URLEncoder.encode(w[1], StandardCharsets.UTF_8));
            }
            return b.toString();
        }
    }

    private String run(Words w) throws Exception {
        switch (w.verb) {
            case "publish":
                publish(w);
                return "ok";
            case "subscribe":
                subscribe(w);
                return "ok";
            case "leave":
                consumers.remove(w.get("id")).close();
                connections.remove(w.get("id")).close();
                return "ok";
            case "receive":
                return receive(w).toString();
            default:
                throw new IllegalArgumentException(w.verb);
        }
    }

    private static Destination destination(String name) {
        return ActiveMQDestination.createDestination(name, ActiveMQDestination.QUEUE_TYPE);
    }

    private void publish(Words w) throws Exception {
        Message m = body(w);
        for (String[] p : w.entries("property")) {
            m.setObjectProperty(p[0], value(p[1]));
        }
        MessageProducer out = session.createProducer(destination(w.get("destination")));
        out.setDeliveryMode(w.get("durable").equals("true") ? DeliveryMode.PERSISTENT : DeliveryMode.NON_PERSISTENT);
        for (String[] h : w.entries("header")) {
            switch (h[0]) {
                case "correlation id":
                    m.setJMSCorrelationID(h[1]);
                    break;
                case "reply to":
                    m.setJMSReplyTo(destination(h[1]));
                    break;
                case "type":
                    m.setJMSType(h[1]);
                    break;
                case "group":
                    m.setStringProperty("JMSXGroupID", h[1]);
                    break;
                case "priority":
                    out.setPriority(Integer.parseInt(h[1]));
                    break;
                case "expiry":
                    out.setTimeToLive(3_600_000);
                    break;
                default:
                    throw new IllegalArgumentException(h[0]);
            }
        }
        out.send(m);
        out.close();
    }

    private Message body(Words w) throws Exception {
        switch (w.get("form")) {
            case "TextMessage":
                return session.createTextMessage(w.get("text"));
            case "BytesMessage":
                BytesMessage b = session.createBytesMessage();
                b.writeBytes(HexFormat.of().parseHex(w.get("text")));
                return b;
            case "MapMessage":
                MapMessage m = session.createMapMessage();
                for (String[] e : w.entries("entry")) {
                    m.setObject(e[0], value(e[1]));
                }
                return m;
            case "StreamMessage":
                StreamMessage s = session.createStreamMessage();
                for (String[] e : w.entries("entry")) {
                    s.writeObject(value(e[1]));
                }
                return s;
            case "ObjectMessage":
                ActiveMQObjectMessage o = (ActiveMQObjectMessage) session.createObjectMessage();
                o.setContent(new ByteSequence(HexFormat.of().parseHex(w.get("text"))));
                return o;
            case "Message":
                return session.createMessage();
            default:
                throw new IllegalArgumentException(w.get("form"));
        }
    }

    private void subscribe(Words w) throws JMSException {
        String durable = w.get("durable");
        String number = w.get("id");
        Connection c = factory.createConnection();
        c.setClientID(durable.isEmpty() ? id + "-in" + number : id + durable);
        c.start();
        Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
        Destination d = destination(w.get("destination"));
        connections.put(number, c);
        consumers.put(number, durable.isEmpty() ? s.createConsumer(d) : s.createDurableSubscriber((Topic) d, durable));
    }

    private Words receive(Words w) throws Exception {
        Message m = consumers.get(w.get("id")).receive(30_000);
        if (m == null) {
            throw new java.util.NoSuchElementException("nothing was received");
        }
        Words out = new Words("message");
        if (m instanceof TextMessage) {
            String text = ((TextMessage) m).getText();
            out.add("form", "TextMessage").add("text", text == null ? "" : text);
        } else if (m instanceof BytesMessage) {
            BytesMessage b = (BytesMessage) m;
            byte[] raw = new byte[(int) b.getBodyLength()];
            b.readBytes(raw);
            out.add("form", "BytesMessage").add("text", HexFormat.of().formatHex(raw));
        } else if (m instanceof MapMessage) {
            out.add("form", "MapMessage");
            for (Object name : Collections.list(((MapMessage) m).getMapNames())) {
                out.add("entry", name + "=" + word(((MapMessage) m).getObject((String) name)));
            }
        } else if (m instanceof StreamMessage) {
            out.add("form", "StreamMessage");
            stream((StreamMessage) m, out);
        } else if (m instanceof ObjectMessage) {
            ByteSequence b = ((ActiveMQMessage) m).getContent();
            out.add("form", "ObjectMessage").add("text", HexFormat.of().formatHex(b.data, b.offset, b.offset + b.length));
        } else {
            out.add("form", "Message");
        }
        envelope(m, out);
        return out;
    }

    private static void stream(StreamMessage m, Words out) throws JMSException {
        for (;;) {
            try {
                out.add("entry", "=" + word(m.readObject()));
            } catch (MessageEOFException e) {
                return;
            }
        }
    }

    private static void envelope(Message m, Words out) throws JMSException {
        for (Object name : Collections.list(m.getPropertyNames())) {
            if (!((String) name).startsWith("JMSX")) {
                out.add("property", name + "=" + word(m.getObjectProperty((String) name)));
            }
        }
        if (m.getJMSCorrelationID() != null) {
            out.add("header", "correlation id=" + m.getJMSCorrelationID());
        }
        if (m.getJMSReplyTo() != null) {
            out.add("header", "reply to=" + m.getJMSReplyTo());
        }
        if (m.getJMSType() != null) {
            out.add("header", "type=" + m.getJMSType());
        }
        if (m.getStringProperty("JMSXGroupID") != null) {
            out.add("header", "group=" + m.getStringProperty("JMSXGroupID"));
        }
        if (m.getJMSPriority() != 4) {
            out.add("header", "priority=" + m.getJMSPriority());
        }
        if (m.getJMSExpiration() != 0) {
            out.add("expiration", Long.toString(m.getJMSExpiration()));
        }
        out.add("durable", Boolean.toString(m.getJMSDeliveryMode() == DeliveryMode.PERSISTENT));
    }

    private static Object value(String typed) {
        int at = typed.indexOf(':');
        String text = typed.substring(at + 1);
        switch (typed.substring(0, at)) {
            case "bool":
                return Boolean.valueOf(text);
            case "byte":
                return Byte.valueOf(text);
            case "short":
                return Short.valueOf(text);
            case "int":
                return Integer.valueOf(text);
            case "long":
                return Long.valueOf(text);
            case "float":
                return Float.valueOf(text);
            case "double":
                return Double.valueOf(text);
            case "binary":
                return HexFormat.of().parseHex(text);
            default:
                return text;
        }
    }

    private static String word(Object v) {
        if (v instanceof byte[]) {
            return "binary:" + HexFormat.of().formatHex((byte[]) v);
        }
        if (v instanceof Boolean) {
            return "bool:" + v;
        }
        if (v instanceof Integer) {
            return "int:" + v;
        }
        return (v == null ? "null" : v.getClass().getSimpleName().toLowerCase()) + ":" + v;
    }
}
