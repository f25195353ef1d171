import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import javax.jms.*;
import org.apache.activemq.ActiveMQConnectionFactory;

/**
 * Loads a broker with ActiveMQ's Java client, its settings being the defaults, and measures what arrives and the broker's
 * processor time.
 *
 * <pre>
 * JmsLoad run BROKER URL PID SCENARIO WARMUP_SECONDS SECONDS    prints a line
 * JmsLoad table FILE                                            medians of such lines, as a table
 * </pre>
 */
public final class JmsLoad {
    private static final int BODY = 1024;

    private final ActiveMQConnectionFactory factory;
    private final String name; // of the destination, new in each run
    private final AtomicLong counted = new AtomicLong(); // what the scenario counts
    private final List<Connection> connections = new ArrayList<>();
    private final List<Thread> threads = new ArrayList<>();
    private volatile boolean measuring;
    private volatile boolean ended;
    private volatile Exception failure;
    private final List<Long> latencies = new ArrayList<>(); // ns, of the one thread that measures them

    private JmsLoad(String url) {
        factory = new ActiveMQConnectionFactory(url);
        name = "load." + Long.toString(System.nanoTime(), 36);
    }

    public static void main(String[] args) throws Exception {
        Locale.setDefault(Locale.ROOT);
        if (args[0].equals("table")) {
            table(Files.readAllLines(Path.of(args[1])));
        } else {
            new JmsLoad(args[2]).run(args[1], Long.parseLong(args[3]), args[4], Integer.parseInt(args[5]), Integer.parseInt(args[6]));
        }
        System.exit(0);
    }

    private interface Task {
        void run() throws Exception;
    }

    private void start(Task t) {
        Thread thread = new Thread(() -> {
            try {
                t.run();
            } catch (Exception e) {
                if (!ended) {
                    failure = e;
                }
            }
        });
        threads.add(thread);
        thread.start();
    }

    private Connection connect() throws JMSException {
        Connection c = factory.createConnection();
        c.start();
        connections.add(c);
        return c;
    }

    private void run(String broker, long pid, String scenario, int warmUp, int seconds) throws Exception {
        scenario(scenario);
        Thread.sleep(warmUp * 1000L);
        long cpu = processorTime(pid);
        long before = counted.get();
        long begin = System.nanoTime();
        measuring = true;
        Thread.sleep(seconds * 1000L);
        measuring = false;
        double took = (System.nanoTime() - begin) / 1e9;
        long n = counted.get() - before;
        cpu = processorTime(pid) - cpu;
        ended = true;
        if (failure != null) {
            throw failure;
        }
        for (Connection c : connections) {
            c.close();
        }
        for (Thread t : threads) {
            t.join();
        }
        long[] sorted = latencies.stream().mapToLong(Long::longValue).sorted().toArray();
        System.out.printf("%s %s %.1f %.2f %.1f %.1f%n", scenario, broker, n / took, n == 0 ? 0 : cpu * 10_000.0 / n,
            percentile(sorted, 0.5), percentile(sorted, 0.99));
    }

    private static double percentile(long[] sorted, double p) {
        return sorted.length == 0 ? 0 : sorted[(int) (p * (sorted.length - 1))] / 1000.0;
    }

    /** Hundredths of a second that a process has used, from the 14th and 15th field of its stat. */
    private static long processorTime(long pid) throws Exception {
        String stat = Files.readString(Path.of("/proc/" + pid + "/stat"));
        String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
        return Long.parseLong(fields[11]) + Long.parseLong(fields[12]);
    }

    private void scenario(String scenario) throws Exception {
        switch (scenario) {
            case "persistent-1":
                queue(1, 1, DeliveryMode.PERSISTENT, 0);
                break;
            case "persistent-10":
                queue(10, 2, DeliveryMode.PERSISTENT, 0);
                break;
            case "transacted-100":
                transacted(100);
                break;
            case "non-persistent":
                queue(1, 1, DeliveryMode.NON_PERSISTENT, 2000);
                break;
            case "topic-10":
                topic(10);
                break;
            case "topic-100":
                topic(100);
                break;
            case "request-reply":
                requestReply();
                break;
            default:
                throw new IllegalArgumentException(scenario);
        }
    }

    private static BytesMessage message(Session s) throws JMSException {
        BytesMessage m = s.createBytesMessage();
        m.writeBytes(new byte[BODY]);
        return m;
    }

    /** Producers and consumers of one queue. What arrives is counted; at most window messages are on their way, if it is not 0. */
    private void queue(int producers, int consumers, int mode, int window) throws Exception {
        Semaphore room = new Semaphore(window);
        for (int i = 0; i < consumers; i++) {
            Session s = connect().createSession(false, Session.AUTO_ACKNOWLEDGE);
            s.createConsumer(s.createQueue(name)).setMessageListener(m -> {
                counted.incrementAndGet();
                room.release();
            });
        }
        for (int i = 0; i < producers; i++) {
            Session s = connect().createSession(false, Session.AUTO_ACKNOWLEDGE);
            MessageProducer p = s.createProducer(s.createQueue(name));
            p.setDeliveryMode(mode);
            start(() -> {
                while (!ended) {
                    if (window == 0 || room.tryAcquire(100, TimeUnit.MILLISECONDS)) {
                        p.send(message(s));
                    }
                }
            });
        }
    }

    /** Persistent messages sent in transactions, and consumed in transactions of the same size. */
    private void transacted(int batch) throws Exception {
        Session in = connect().createSession(true, Session.SESSION_TRANSACTED);
        MessageConsumer r = in.createConsumer(in.createQueue(name));
        start(() -> {
            while (!ended) {
                int n = 0;
                while (n < batch && !ended && r.receive(1000) != null) {
                    n++;
                }
                in.commit();
                counted.addAndGet(n);
            }
        });
        Session out = connect().createSession(true, Session.SESSION_TRANSACTED);
        MessageProducer p = out.createProducer(out.createQueue(name));
        start(() -> {
            while (!ended) {
                for (int i = 0; i < batch; i++) {
                    p.send(message(out));
                }
                out.commit();
            }
        });
    }

    /** One producer, many subscribers. Deliveries are counted. All subscribers have each message before the 500th after it. */
    private void topic(int subscribers) throws Exception {
        AtomicLong[] got = new AtomicLong[subscribers];
        for (int i = 0; i < subscribers; i++) {
            AtomicLong own = got[i] = new AtomicLong();
            Session s = connect().createSession(false, Session.AUTO_ACKNOWLEDGE);
            s.createConsumer(s.createTopic(name)).setMessageListener(m -> {
                counted.incrementAndGet();
                own.incrementAndGet();
            });
        }
        Session s = connect().createSession(false, Session.AUTO_ACKNOWLEDGE);
        MessageProducer p = s.createProducer(s.createTopic(name));
        p.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
        start(() -> {
            for (long sent = 0; !ended; sent++) {
                while (sent % 100 == 0 && !ended && sent - Arrays.stream(got).mapToLong(AtomicLong::get).min().getAsLong() >= 400) {
                    Thread.sleep(0, 100_000);
                }
                p.send(message(s));
            }
        });
    }

    /** One request at a time with a temporary queue for the answer, as JMS's QueueRequestor. */
    private void requestReply() throws Exception {
        Session server = connect().createSession(false, Session.AUTO_ACKNOWLEDGE);
        MessageProducer answers = server.createProducer(null);
        answers.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
        server.createConsumer(server.createQueue(name)).setMessageListener(m -> {
            try {
                Message answer = message(server);
                answer.setJMSCorrelationID(m.getJMSMessageID());
                answers.send(m.getJMSReplyTo(), answer);
            } catch (JMSException e) {
                failure = e;
            }
        });
        Session s = connect().createSession(false, Session.AUTO_ACKNOWLEDGE);
        TemporaryQueue mine = s.createTemporaryQueue();
        MessageConsumer in = s.createConsumer(mine);
        MessageProducer p = s.createProducer(s.createQueue(name));
        p.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
        CountDownLatch ready = new CountDownLatch(1);
        start(() -> {
            while (!ended) {
                Message request = message(s);
                request.setJMSReplyTo(mine);
                long at = System.nanoTime();
                p.send(request);
                if (in.receive(10_000) == null) {
                    throw new JMSException("no answer in ten seconds");
                }
                ready.countDown();
                counted.incrementAndGet();
                if (measuring) {
                    latencies.add(System.nanoTime() - at);
                }
            }
        });
        ready.await();
    }

    /** Prints a row for each scenario and a column for each broker: the medians of several runs. */
    private static void table(List<String> lines) {
        Map<String, Map<String, List<double[]>>> runs = new LinkedHashMap<>();
        Set<String> brokers = new LinkedHashSet<>();
        for (String line : lines) {
            String[] f = line.split(" ");
            if (f.length != 6) {
                continue;
            }
            brokers.add(f[1]);
            double[] values = {Double.parseDouble(f[2]), Double.parseDouble(f[3]), Double.parseDouble(f[4]), Double.parseDouble(f[5])};
            runs.computeIfAbsent(f[0], s -> new LinkedHashMap<>()).computeIfAbsent(f[1], b -> new ArrayList<>()).add(values);
        }
        StringBuilder out = new StringBuilder("| messages a second, broker's CPU for each |");
        brokers.forEach(b -> out.append(' ').append(b).append(" |"));
        out.append("\n|---").append("|---".repeat(brokers.size())).append("|\n");
        runs.forEach((scenario, by) -> {
            out.append("| ").append(scenario).append(" |");
            for (String b : brokers) {
                out.append(' ').append(cell(by.get(b))).append(" |");
            }
            out.append('\n');
        });
        byte[] text = out.toString().getBytes(StandardCharsets.UTF_8);
        System.out.write(text, 0, text.length);
        System.out.flush();
    }

    private static String cell(List<double[]> runs) {
        if (runs == null) {
            return "-";
        }
        double[] medians = new double[4];
        for (int i = 0; i < medians.length; i++) {
            int field = i;
            double[] sorted = runs.stream().mapToDouble(r -> r[field]).sorted().toArray();
            medians[i] = sorted[sorted.length / 2];
        }
        String text = String.format("%.0f, %.0f \u00b5s", medians[0], medians[1]);
        return medians[2] == 0 ? text : text + String.format(" (p50 %.0f \u00b5s, p99 %.0f \u00b5s)", medians[2], medians[3]);
    }
}
