package shop;

import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.TextMessage;
import org.springframework.jms.annotation.JmsListener;
import org.springframework.jms.support.converter.SimpleMessageConverter;
import org.springframework.messaging.handler.annotation.Header;
import org.springframework.messaging.handler.annotation.SendTo;
import org.springframework.stereotype.Component;

/** What the application does when messages come. */
@Component
public class Listeners {
    final BlockingQueue<Object> orders = new LinkedBlockingQueue<>();
    final BlockingQueue<String> confirmations = new LinkedBlockingQueue<>();
    final BlockingQueue<String> selected = new LinkedBlockingQueue<>();
    final BlockingQueue<String> news = new LinkedBlockingQueue<>();
    final BlockingQueue<String> kept = new LinkedBlockingQueue<>();
    final BlockingQueue<String> attempts = new LinkedBlockingQueue<>();
    final BlockingQueue<String> dead = new LinkedBlockingQueue<>();
    final Map<Integer, Integer> work = new ConcurrentHashMap<>();

    @JmsListener(destination = "shop.orders")
    public void order(Message m) throws JMSException {
        orders.add(new SimpleMessageConverter().fromMessage(m));
    }

    @JmsListener(destination = "shop.billing")
    @SendTo("shop.confirmations")
    public String bill(String order, @Header("amount") int amount) {
        return order + " costs " + amount;
    }

    @JmsListener(destination = "shop.confirmations")
    public void confirmed(String text) {
        confirmations.add(text);
    }

    @JmsListener(destination = "shop.quotes")
    public String quote(String item) {
        return item + ": 42";
    }

    @JmsListener(destination = "shop.parcels", selector = "weight > 10 AND country IN ('at', 'ch')")
    public void heavy(String parcel) {
        selected.add(parcel);
    }

    @JmsListener(destination = "shop.news", containerFactory = "topics")
    public void first(String text) {
        news.add("first " + text);
    }

    @JmsListener(destination = "shop.news", containerFactory = "topics")
    public void second(String text) {
        news.add("second " + text);
    }

    @JmsListener(id = "kept", destination = "shop.kept", containerFactory = "durable", subscription = "kept")
    public void keep(String text) {
        kept.add(text);
    }

    @JmsListener(destination = "shop.work", concurrency = "2-5")
    public void work(String number) {
        work.merge(Integer.valueOf(number), 1, Integer::sum);
    }

    /** The session is transacted, as is Spring Boot's default: what throws is delivered again. */
    @JmsListener(destination = "shop.flaky")
    public void flaky(Message m) throws JMSException {
        fail(m);
    }

    @JmsListener(destination = "shop.flaky.managed", containerFactory = "managed")
    public void flakyManaged(Message m) throws JMSException {
        fail(m);
    }

    private void fail(Message m) throws JMSException {
        String text = ((TextMessage) m).getText();
        int count = m.getIntProperty("JMSXDeliveryCount");
        attempts.add(text + " " + count + " " + m.getJMSRedelivered());
        if (count < 3 || text.startsWith("poison")) {
            throw new IllegalArgumentException("not this time");
        }
    }

    @JmsListener(destination = "ActiveMQ.DLQ")
    public void dead(Message m) throws JMSException {
        String cause = m.getStringProperty("dlqDeliveryFailureCause");
        dead.add(((TextMessage) m).getText() + " " + (cause != null && cause.contains("RedeliveryPolicy")));
    }
}
