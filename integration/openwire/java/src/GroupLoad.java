import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import javax.jms.*;
import javax.transaction.xa.XAException;
import javax.transaction.xa.XAResource;
import javax.transaction.xa.Xid;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.ActiveMQXAConnectionFactory;

/**
 * Producers and consumers that know nothing of failover but their URL: of single messages, of transactions and of XA branches.
 * They say in lines how far they are, until standard input ends; then everything is consumed and the last line is the verdict.
 */
public final class GroupLoad {
    private static final int BATCH = 5;
    private static volatile boolean ended;
    private static volatile boolean settled;
    private static String url;

    /** What became of the batches of a queue. A batch is one message, or a transaction's. */
    private static final class Ledger {
        private final String queue;
        private final int size;
        private final Set<String> done = ConcurrentHashMap.newKeySet();
        private final Set<String> doubt = ConcurrentHashMap.newKeySet();
        private final Map<String, Set<Integer>> received = new ConcurrentHashMap<>();
        private final Set<String> finished = ConcurrentHashMap.newKeySet();
        private final Set<String> late = ConcurrentHashMap.newKeySet(); // committed long after what was sent behind them
        private final AtomicInteger again = new AtomicInteger();
        private final AtomicInteger disorder = new AtomicInteger();
        private int last = -1;

        private Ledger(String queue, int size) {
            this.queue = queue;
            this.size = size;
        }

        private void receive(String batch, int index, boolean redelivered) {
            received.computeIfAbsent(batch, b -> ConcurrentHashMap.newKeySet()).add(index);
            if (late.contains(batch)) {
                return;
            }
            int n = Integer.parseInt(batch);
            if (n < last && !redelivered && !finished.contains(batch)) {
                disorder.incrementAndGet();
            }
            last = n;
        }

        private void finish(String batch, int index) {
            if (!finished.add(batch + "." + index)) {
                again.incrementAndGet();
            }
        }

        private String verdict() {
            int lost = 0;
            int partly = 0;
            for (String b : done) {
                Set<Integer> got = received.getOrDefault(b, Collections.emptySet());
                lost += size - got.size();
            }
            for (Map.Entry<String, Set<Integer>> e : received.entrySet()) {
                if (e.getValue().size() != size) {
                    partly++;
                }
            }
            return queue + " done " + done.size() + " doubt " + doubt.size() + " lost " + lost + " partly " + partly
                + " again " + again.get() + " disorder " + disorder.get();
        }
    }

    private static void send(Session s, MessageProducer p, String batch, int index) throws JMSException {
        Message m = s.createTextMessage("x".repeat(200));
        m.setStringProperty("batch", batch);
        m.setIntProperty("index", index);
        p.send(m);
    }

    private static void produce(Ledger l) throws Exception {
        try (Connection c = new ActiveMQConnectionFactory(url).createConnection()) {
            c.start();
            Session s = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
            MessageProducer p = s.createProducer(s.createQueue(l.queue));
            for (int n = 0; !ended; n++) {
                String batch = Integer.toString(n);
                try {
                    send(s, p, batch, 0);
                    l.done.add(batch);
                } catch (JMSException e) {
                    l.doubt.add(batch);
                }
            }
        }
    }

    private static void produceTransactions(Ledger l) throws Exception {
        try (Connection c = new ActiveMQConnectionFactory(url).createConnection()) {
            c.start();
            Session s = c.createSession(true, Session.SESSION_TRANSACTED);
            MessageProducer p = s.createProducer(s.createQueue(l.queue));
            for (int n = 0; !ended; n++) {
                String batch = Integer.toString(n);
                try {
                    for (int i = 0; i < BATCH; i++) {
                        send(s, p, batch, i);
                    }
                    s.commit();
                    l.done.add(batch);
                } catch (JMSException e) {
                    l.doubt.add(batch);
                    rollback(s);
                }
            }
        }
    }

    private static void rollback(Session s) {
        try {
            s.rollback();
        } catch (JMSException e) {
            // There is nothing left of it.
        }
    }

    private static final class Branch implements Xid {
        private final byte[] global;

        private Branch(String name) {
            global = name.getBytes();
        }

        public int getFormatId() {
            return 7;
        }

        public byte[] getGlobalTransactionId() {
            return global;
        }

        public byte[] getBranchQualifier() {
            return new byte[] {1};
        }
    }

    /** What is prepared is committed; every tenth branch later, after a connection that comes long after asks for it. */
    private static void produceBranches(Ledger l) throws Exception {
        try (XAConnection c = new ActiveMQXAConnectionFactory(url).createXAConnection()) {
            c.start();
            XASession s = c.createXASession();
            XAResource r = s.getXAResource();
            MessageProducer p = s.createProducer(s.createQueue(l.queue));
            for (int n = 0; !ended; n++) {
                String batch = Integer.toString(n);
                Xid x = new Branch(batch);
                if (!prepare(s, p, r, x, batch)) {
                    l.doubt.add(batch);
                } else if (n % 10 == 9 && l.late.size() < 100) {
                    l.late.add(batch);
                } else {
                    commit(r, x);
                    l.done.add(batch);
                }
            }
        }
        try (XAConnection c = new ActiveMQXAConnectionFactory(url).createXAConnection()) {
            c.start();
            XAResource r = c.createXASession().getXAResource();
            for (Xid x : r.recover(XAResource.TMSTARTRSCAN | XAResource.TMENDRSCAN)) {
                String batch = new String(x.getGlobalTransactionId());
                if (l.late.contains(batch)) {
                    commit(r, x);
                } else {
                    r.rollback(x); // its prepare was not answered
                }
            }
        }
        l.done.addAll(l.late); // each must be there now
    }

    private static boolean prepare(Session s, MessageProducer p, XAResource r, Xid x, String batch) {
        try {
            r.start(x, XAResource.TMNOFLAGS);
            for (int i = 0; i < BATCH; i++) {
                send(s, p, batch, i);
            }
            r.end(x, XAResource.TMSUCCESS);
            r.prepare(x);
            return true;
        } catch (XAException | JMSException e) {
            try {
                r.end(x, XAResource.TMFAIL);
            } catch (XAException again) {
                // It has ended.
            }
            try {
                r.rollback(x);
            } catch (XAException again) {
                // The broker knows nothing of it any more, or says so later.
            }
            return false;
        }
    }

    private static void commit(XAResource r, Xid x) throws InterruptedException {
        for (;;) {
            try {
                r.commit(x, false);
                return;
            } catch (XAException e) {
                if (e.errorCode == XAException.XAER_NOTA) {
                    return; // done by a commit whose answer was lost; the messages tell
                }
                Thread.sleep(20);
            }
        }
    }

    private static void consume(Ledger l, boolean transacted) throws Exception {
        try (Connection c = new ActiveMQConnectionFactory(url).createConnection()) {
            c.start();
            Session s = c.createSession(transacted, transacted ? Session.SESSION_TRANSACTED : Session.CLIENT_ACKNOWLEDGE);
            MessageConsumer r = s.createConsumer(s.createQueue(l.queue));
            for (;;) {
                boolean finished = settled;
                Message m = r.receive(finished ? 5000 : 200);
                if (m == null && finished) {
                    return;
                }
                if (m == null) {
                    continue;
                }
                String batch = m.getStringProperty("batch");
                int index = m.getIntProperty("index");
                l.receive(batch, index, m.getJMSRedelivered());
                try {
                    if (transacted) {
                        s.commit();
                    } else {
                        m.acknowledge();
                    }
                    l.finish(batch, index);
                } catch (JMSException e) {
                    if (transacted) {
                        rollback(s);
                    }
                }
            }
        }
    }

    private interface Task {
        void run() throws Exception;
    }

    private static Thread start(Task t) {
        Thread thread = new Thread(() -> {
            try {
                t.run();
            } catch (Exception e) {
                e.printStackTrace();
                System.exit(1);
            }
        });
        thread.start();
        return thread;
    }

    public static void main(String[] args) throws Exception {
        url = args[0];
        Ledger plain = new Ledger("plain", 1);
        Ledger transacted = new Ledger("transacted", BATCH);
        Ledger branches = new Ledger("xa", BATCH);
        List<Thread> producers = List.of(start(() -> produce(plain)), start(() -> produceTransactions(transacted)), start(() -> produceBranches(branches)));
        List<Thread> consumers = List.of(start(() -> consume(plain, false)), start(() -> consume(transacted, true)), start(() -> consume(branches, true)));
        start(() -> {
            while (!ended) {
                System.out.println("progress " + plain.done.size() + " " + transacted.done.size() + " " + branches.done.size()
                    + " " + plain.finished.size() + " " + transacted.finished.size() + " " + branches.finished.size());
                Thread.sleep(50);
            }
        });
        while (System.in.read() >= 0) {
            // The test closes it.
        }
        ended = true;
        for (Thread t : producers) {
            t.join();
        }
        settled = true;
        for (Thread t : consumers) {
            t.join();
        }
        System.out.println("verdict " + plain.verdict());
        System.out.println("verdict " + transacted.verdict());
        System.out.println("verdict " + branches.verdict());
        System.exit(0);
    }
}
