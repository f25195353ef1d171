package shop;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import javax.jms.ConnectionFactory;
import javax.jms.Message;
import javax.jms.TextMessage;
import org.messaginghub.pooled.jms.JmsPoolConnectionFactory;
import org.springframework.jms.config.JmsListenerEndpointRegistry;
import org.springframework.jms.connection.JmsTransactionManager;
import org.springframework.jms.core.JmsTemplate;
import org.springframework.stereotype.Component;
import org.springframework.transaction.support.TransactionTemplate;

/** Uses the application: a line "ok name" for each thing that works. */
@Component
public class Checks {
    private static final long WAIT = 30_000;
    private final JmsTemplate jms;
    private final Listeners listeners;
    private final ConnectionFactory factory;
    private final TransactionTemplate transaction;
    private final JmsListenerEndpointRegistry registry;

    private interface Check {
        void run() throws Exception;
    }

    public Checks(JmsTemplate jms, Listeners listeners, ConnectionFactory factory, JmsTransactionManager manager,
            JmsListenerEndpointRegistry registry) {
        this.jms = jms;
        this.listeners = listeners;
        this.factory = factory;
        this.transaction = new TransactionTemplate(manager);
        this.registry = registry;
        jms.setReceiveTimeout(WAIT);
    }

    void all() {
        check("template and listener", this::listener);
        check("listener that answers", this::answers);
        check("request and reply", this::requestReply);
        check("selector", this::selector);
        check("topic", this::topic);
        check("durable subscription", this::durable);
        check("pooled connections and concurrent listeners", this::pooled);
        check("transaction committed and rolled back", this::transactions);
        check("receive and send in one transaction", this::receiveAndSend);
        check("redelivery in a transacted session", () -> flaky("shop.flaky"));
        check("redelivery by the transaction manager", () -> flaky("shop.flaky.managed"));
        check("dead letter of a transacted session", () -> poison("shop.flaky"));
        check("dead letter by the transaction manager", () -> poison("shop.flaky.managed"));
        check("browser", this::browser);
    }

    private void check(String name, Check c) {
        try {
            c.run();
            System.out.println("ok " + name);
        } catch (Throwable e) {
            System.out.println("FAIL " + name + ": " + e);
            e.printStackTrace();
        }
    }

    private static void equal(Object got, Object want) {
        if (!want.equals(got)) {
            throw new AssertionError("got " + got + ", want " + want);
        }
    }

    private static <T> T next(BlockingQueue<T> queue) throws InterruptedException {
        return queue.poll(WAIT, TimeUnit.MILLISECONDS);
    }

    private void listener() throws Exception {
        jms.convertAndSend("shop.orders", "bread");
        equal(next(listeners.orders), "bread");
        Map<String, Object> map = Collections.singletonMap("item", "milk");
        jms.convertAndSend("shop.orders", map);
        equal(next(listeners.orders), map);
        byte[] raw = {0, 1, -1};
        jms.convertAndSend("shop.orders", raw);
        equal(Arrays.equals((byte[]) next(listeners.orders), raw), true);
        ArrayList<String> list = new ArrayList<>(List.of("a", "b")); // an ObjectMessage
        jms.convertAndSend("shop.orders", list);
        equal(next(listeners.orders), list);
    }

    private void answers() throws Exception {
        jms.convertAndSend("shop.billing", "bread", m -> {
            m.setIntProperty("amount", 3);
            return m;
        });
        equal(next(listeners.confirmations), "bread costs 3");
    }

    private void requestReply() throws Exception {
        for (String item : new String[] {"one", "two"}) {
            Message reply = jms.sendAndReceive("shop.quotes", s -> s.createTextMessage(item));
            equal(((TextMessage) reply).getText(), item + ": 42");
        }
    }

    private void selector() throws Exception {
        Object[][] parcels = {{"light", 5, "at"}, {"far", 20, "us"}, {"heavy", 20, "ch"}};
        for (Object[] p : parcels) {
            jms.convertAndSend("shop.parcels", (String) p[0], m -> {
                m.setIntProperty("weight", (Integer) p[1]);
                m.setStringProperty("country", (String) p[2]);
                return m;
            });
        }
        equal(next(listeners.selected), "heavy");
        equal(jms.receiveAndConvert("shop.parcels"), "light");
        equal(jms.receiveAndConvert("shop.parcels"), "far");
        equal(listeners.selected.size(), 0);
    }

    private void topic() throws Exception {
        publish("shop.news", "today");
        List<String> got = new ArrayList<>(List.of(next(listeners.news), next(listeners.news)));
        Collections.sort(got);
        equal(got, List.of("first today", "second today"));
    }

    private void publish(String topic, String text) {
        JmsTemplate t = new JmsTemplate(factory);
        t.setPubSubDomain(true);
        t.convertAndSend(topic, text);
    }

    private void durable() throws Exception {
        publish("shop.kept", "present");
        equal(next(listeners.kept), "present");
        registry.getListenerContainer("kept").stop();
        publish("shop.kept", "away");
        registry.getListenerContainer("kept").start();
        equal(next(listeners.kept), "away");
    }

    private void pooled() throws Exception {
        equal(factory instanceof JmsPoolConnectionFactory, true);
        List<Thread> senders = new ArrayList<>();
        for (int t = 0; t < 5; t++) {
            int from = t * 100;
            Thread sender = new Thread(() -> {
                for (int i = 0; i < 100; i++) {
                    jms.convertAndSend("shop.work", Integer.toString(from + i));
                }
            });
            sender.start();
            senders.add(sender);
        }
        for (Thread s : senders) {
            s.join();
        }
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(WAIT);
        while (listeners.work.size() < 500 && System.nanoTime() < end) {
            Thread.sleep(10);
        }
        equal(listeners.work.size(), 500);
        equal(listeners.work.values().stream().allMatch(n -> n == 1), true);
    }

    private void transactions() throws Exception {
        transaction.executeWithoutResult(status -> {
            jms.convertAndSend("shop.ledger", "gone");
            status.setRollbackOnly();
        });
        transaction.executeWithoutResult(status -> {
            jms.convertAndSend("shop.ledger", "first");
            jms.convertAndSend("shop.ledger.copy", "second");
        });
        equal(jms.receiveAndConvert("shop.ledger"), "first");
        equal(jms.receiveAndConvert("shop.ledger.copy"), "second");
    }

    private void receiveAndSend() throws Exception {
        jms.convertAndSend("shop.in", "moved");
        try {
            transaction.executeWithoutResult(status -> {
                equal(jms.receiveAndConvert("shop.in"), "moved");
                jms.convertAndSend("shop.out", "half done");
                throw new IllegalStateException("the work failed");
            });
        } catch (IllegalStateException e) {
            equal(e.getMessage(), "the work failed");
        }
        transaction.executeWithoutResult(status -> {
            equal(jms.receiveAndConvert("shop.in"), "moved");
            jms.convertAndSend("shop.out", "done");
        });
        equal(jms.receiveAndConvert("shop.out"), "done");
    }

    private void flaky(String queue) throws Exception {
        jms.convertAndSend(queue, "flaky");
        equal(next(listeners.attempts), "flaky 1 false");
        equal(next(listeners.attempts), "flaky 2 true");
        equal(next(listeners.attempts), "flaky 3 true");
    }

    /** Six deliveries again, as ActiveMQ's clients have it by default. */
    private void poison(String queue) throws Exception {
        jms.convertAndSend(queue, "poison of " + queue);
        for (int i = 1; i <= 7; i++) {
            equal(next(listeners.attempts), "poison of " + queue + " " + i + " " + (i > 1));
        }
        equal(next(listeners.dead), "poison of " + queue + " true");
        equal(listeners.attempts.size(), 0);
    }

    private void browser() throws Exception {
        jms.convertAndSend("shop.browsed", "one");
        jms.convertAndSend("shop.browsed", "two");
        List<?> seen = jms.browse("shop.browsed", (session, browser) -> {
            List<String> texts = new ArrayList<>();
            for (Object m : Collections.list(browser.getEnumeration())) {
                texts.add(((TextMessage) m).getText());
            }
            return texts;
        });
        equal(seen, List.of("one", "two"));
        equal(jms.receiveAndConvert("shop.browsed"), "one");
    }
}
