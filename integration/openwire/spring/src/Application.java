package shop;

import java.util.LinkedHashMap;
import java.util.Map;
import javax.jms.ConnectionFactory;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.jms.annotation.EnableJms;
import org.springframework.jms.config.DefaultJmsListenerContainerFactory;
import org.springframework.jms.connection.JmsTransactionManager;

/** An application of Spring Boot with the stock starter: of the broker it knows the URL, a property. */
@SpringBootApplication
@EnableJms
public class Application {
    public static void main(String[] args) {
        SpringApplication app = new SpringApplication(Application.class);
        Map<String, Object> properties = new LinkedHashMap<>();
        properties.put("spring.activemq.pool.enabled", "true");
        properties.put("spring.activemq.pool.max-connections", "3");
        properties.put("spring.activemq.packages.trust-all", "true");
        properties.put("spring.main.banner-mode", "off");
        properties.put("logging.level.root", "OFF"); // failures are part of what is tried
        app.setDefaultProperties(properties);
        try (ConfigurableApplicationContext context = app.run(args)) {
            context.getBean(Checks.class).all();
        }
        System.exit(0);
    }

    @Bean
    public JmsTransactionManager transactionManager(ConnectionFactory factory) {
        return new JmsTransactionManager(factory);
    }

    /** Listeners whose deliveries are transactions of the manager's: a consumer lives for one message. */
    @Bean
    public DefaultJmsListenerContainerFactory managed(ConnectionFactory factory, JmsTransactionManager manager) {
        DefaultJmsListenerContainerFactory f = new DefaultJmsListenerContainerFactory();
        f.setConnectionFactory(factory);
        f.setTransactionManager(manager);
        f.setSessionTransacted(true);
        f.setReceiveTimeout(500L);
        return f;
    }

    @Bean
    public DefaultJmsListenerContainerFactory topics(ConnectionFactory factory) {
        DefaultJmsListenerContainerFactory f = new DefaultJmsListenerContainerFactory();
        f.setConnectionFactory(factory);
        f.setPubSubDomain(true);
        return f;
    }

    /** A durable subscription needs a connection with a client id, so none of the pool's. */
    @Bean
    public DefaultJmsListenerContainerFactory durable(@Value("${spring.activemq.broker-url}") String url) {
        DefaultJmsListenerContainerFactory f = new DefaultJmsListenerContainerFactory();
        f.setConnectionFactory(new ActiveMQConnectionFactory(url));
        f.setPubSubDomain(true);
        f.setSubscriptionDurable(true);
        f.setClientId("shop");
        return f;
    }
}
