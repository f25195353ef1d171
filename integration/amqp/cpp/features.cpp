// What C++ applications do with Qpid Proton: one line a feature.
//
// usage: features HOST:PORT
#include <proton/connection.hpp>
#include <proton/connection_options.hpp>
#include <proton/container.hpp>
#include <proton/delivery.hpp>
#include <proton/error_condition.hpp>
#include <proton/message.hpp>
#include <proton/messaging_handler.hpp>
#include <proton/receiver.hpp>
#include <proton/receiver_options.hpp>
#include <proton/sender.hpp>
#include <proton/source.hpp>
#include <proton/source_options.hpp>
#include <proton/timestamp.hpp>
#include <proton/tracker.hpp>
#include <proton/transport.hpp>
#include <proton/types.hpp>

#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

static std::string address;

static std::string url(const std::string& name) { return "amqp://" + address + "/" + name; }

static void check(bool ok, const std::string& what) {
    if (!ok) throw std::runtime_error(what);
}

// Client runs until it closes its connection; errors of the broker are thrown.
class Client : public proton::messaging_handler {
  public:
    std::string error;

    void on_error(const proton::error_condition& e) override { error = e.what(); }
    void on_transport_error(proton::transport& t) override { error = t.error().what(); }

    void run() {
        proton::container c(*this);
        start(c);
    }
    void run(const std::string& id) {
        proton::container c(*this, id);
        start(c);
    }

  private:
    void start(proton::container& c) {
        c.run();
        check(error.empty(), error);
    }
};

// RoundTrip sends messages, settles them as it is told, and keeps what came.
class RoundTrip : public Client {
  public:
    std::string name;
    std::vector<proton::message> out, in;
    std::function<void(proton::delivery&, size_t)> settle = [](proton::delivery& d, size_t) { d.accept(); };
    proton::receiver_options options;
    size_t want = 0, sent = 0, accepted = 0;

    explicit RoundTrip(const std::string& queue) : name(queue) { options.auto_accept(false); }

    void on_container_start(proton::container& c) override {
        proton::connection conn = c.connect("amqp://" + address);
        conn.open_receiver(name, options);
        conn.open_sender(name);
    }
    void on_sendable(proton::sender& s) override {
        while (sent < out.size() && s.credit() > 0) s.send(out[sent++]);
    }
    void on_tracker_accept(proton::tracker&) override { accepted++; }
    void on_message(proton::delivery& d, proton::message& m) override {
        in.push_back(m);
        settle(d, in.size());
        end(d.connection());
    }
    void on_tracker_settle(proton::tracker& t) override { end(t.connection()); }
    void end(proton::connection c) {
        if (in.size() >= want && accepted >= out.size()) c.close();
    }
};

static proton::message durable(const proton::value& body) {
    proton::message m(body);
    m.durable(true);
    return m;
}

static void propertiesOfEveryType() {
    RoundTrip r("cpp.properties");
    proton::message m = durable(std::string("text"));
    m.id(proton::uuid::random());
    m.correlation_id(uint64_t(7));
    m.subject("kind");
    m.priority(8);
    m.properties().put("bool", true);
    m.properties().put("byte", int8_t(-1));
    m.properties().put("ubyte", uint8_t(200));
    m.properties().put("short", int16_t(-300));
    m.properties().put("int", int32_t(-70000));
    m.properties().put("ulong", uint64_t(1) << 63);
    m.properties().put("float", 1.5f);
    m.properties().put("double", 2.25);
    m.properties().put("text", "text");
    m.properties().put("symbol", proton::symbol("symbol"));
    m.properties().put("timestamp", proton::timestamp(1234567890123));
    m.properties().put("binary", proton::binary("\x01\x02"));
    m.message_annotations().put("x-opt-own", "kept");
    r.out = {m};
    r.want = 1;
    r.run();
    const proton::message& got = r.in.at(0);
    check(got.id() == m.id() && got.correlation_id() == m.correlation_id(), "ids differ");
    check(got.subject() == "kind" && got.priority() == 8 && got.durable(), "header or subject differ");
    for (const char* key : {"bool", "byte", "ubyte", "short", "int", "ulong", "float", "double", "text", "symbol", "timestamp", "binary"})
        check(got.properties().get(key) == m.properties().get(key), std::string(key) + " differs");
    check(proton::get<std::string>(got.message_annotations().get("x-opt-own")) == "kept", "an annotation is lost");
    check(proton::get<std::string>(got.body()) == "text", "the body differs");
}

static void bodies() {
    RoundTrip r("cpp.bodies");
    r.out = {durable(proton::binary(std::string("\x00\xff", 2))), durable(std::vector<proton::value>{1, std::string("two")}),
             durable(std::map<std::string, proton::value>{{"a", 1}}), durable(int64_t(5)), durable(std::string(300000, 'x'))};
    r.want = r.out.size();
    r.run();
    for (size_t i = 0; i < r.out.size(); i++) check(r.in.at(i).body() == r.out[i].body(), "body " + std::to_string(i) + " differs");
}

static void outcomes() {
    RoundTrip r("cpp.outcomes");
    r.out = {durable(std::string("x"))};
    r.want = 3;
    std::vector<uint32_t> counts;
    r.settle = [&](proton::delivery& d, size_t n) {
        if (n == 1) d.release();
        else if (n == 2) d.modify();
        else d.accept();
    };
    r.run();
    for (const proton::message& m : r.in) counts.push_back(m.delivery_count());
    check(counts == std::vector<uint32_t>({0, 0, 0}) || counts == std::vector<uint32_t>({0, 0, 1}), "delivery counts differ");
}

static void manyMessages() {
    RoundTrip r("cpp.many");
    for (int i = 0; i < 2000; i++) r.out.push_back(durable(std::to_string(i)));
    r.want = r.out.size();
    r.run();
    for (size_t i = 0; i < r.out.size(); i++) check(proton::get<std::string>(r.in.at(i).body()) == std::to_string(i), "out of order");
}

static void selectors() {
    RoundTrip r("cpp.selectors");
    for (int i = 0; i < 4; i++) {
        proton::message m = durable(std::to_string(i));
        m.properties().put("n", i);
        r.out.push_back(m);
    }
    proton::source::filter_map filter;
    proton::value selector;
    proton::codec::encoder(selector) << proton::codec::start::described() << proton::symbol("apache.org:selector-filter:string")
                                     << "n > 1" << proton::codec::finish();
    filter.put("selector", selector);
    r.options.source(proton::source_options().filters(filter));
    r.want = 2;
    r.run();
    check(proton::get<std::string>(r.in.at(0).body()) == "2" && proton::get<std::string>(r.in.at(1).body()) == "3", "wrong messages");
}

// Requests asks by a dynamic node, which the other side answers.
class Requests : public Client {
  public:
    proton::sender ask;
    int answers = 0;

    void on_container_start(proton::container& c) override {
        proton::connection conn = c.connect("amqp://" + address);
        conn.open_receiver("cpp.requests");
        ask = conn.open_sender("cpp.requests");
        conn.open_receiver("", proton::receiver_options().source(proton::source_options().dynamic(true)));
    }
    void on_receiver_open(proton::receiver& r) override {
        if (!r.source().dynamic()) return;
        for (int i = 0; i < 3; i++) {
            proton::message m(std::to_string(i));
            m.reply_to(r.source().address());
            ask.send(m);
        }
    }
    void on_message(proton::delivery& d, proton::message& m) override {
        if (m.reply_to().empty()) {
            if (++answers == 3) d.connection().close();
            return;
        }
        proton::message answer(proton::get<std::string>(m.body()));
        answer.to(m.reply_to());
        d.connection().open_sender(m.reply_to()).send(answer);
    }
};

static void requests() {
    Requests r;
    r.run();
    check(r.answers == 3, "answers are missing");
}

// Subscriber keeps a durable subscription over two connections.
class Subscriber : public Client {
  public:
    bool publishes;
    std::string got;

    explicit Subscriber(bool first) : publishes(first) {}
    void on_container_start(proton::container& c) override {
        proton::source_options source;
        source.durability_mode(proton::source::UNSETTLED_STATE).expiry_policy(proton::source::NEVER);
        proton::connection conn = c.connect("amqp://" + address);
        conn.open_receiver("topic://cpp.news", proton::receiver_options().name("subscription").source(source));
    }
    void on_receiver_open(proton::receiver& r) override {
        if (publishes) r.detach();
    }
    void on_receiver_detach(proton::receiver& r) override {
        if (publishes) r.connection().open_sender("topic://cpp.news").send(durable(std::string("while away")));
    }
    void on_tracker_accept(proton::tracker& t) override { t.connection().close(); }
    void on_message(proton::delivery& d, proton::message& m) override {
        got = proton::get<std::string>(m.body());
        d.accept();
        d.receiver().close(); // which ends the subscription
    }
    void on_receiver_close(proton::receiver& r) override { r.connection().close(); }
};

static void durableSubscriptions() {
    Subscriber first(true), second(false);
    first.run("cpp");
    second.run("cpp");
    check(second.got == "while away", "got " + second.got);
}

// Several links, each with a connection of its own: one container id for all.
static void manyConnections() {
    struct Links : Client {
        int ended = 0;
        void on_container_start(proton::container& c) override {
            for (int i = 0; i < 3; i++) c.open_sender(url("cpp.connections"));
        }
        void on_sendable(proton::sender& s) override { s.send(durable(std::string("x"))); }
        void on_tracker_accept(proton::tracker& t) override {
            ended++;
            t.connection().close();
        }
    } l;
    l.run();
    check(l.ended >= 3, "a connection was not served");
}

static void errorsOfTheBroker() {
    struct Refused : Client {
        void on_container_start(proton::container& c) override { c.open_sender(url("topic://a.*")); }
        void on_sender_error(proton::sender& s) override {
            error = s.error().name();
            s.connection().close();
        }
    } r;
    try {
        r.run();
    } catch (const std::exception&) {
    }
    check(r.error == "amqp:invalid-field", "a wildcard to send to: " + r.error);
}

int main(int, char** argv) {
    address = argv[1];
    const std::vector<std::pair<std::string, void (*)()>> all = {
        {"properties of every type", propertiesOfEveryType}, {"bodies", bodies}, {"outcomes", outcomes},
        {"many messages", manyMessages}, {"selectors", selectors}, {"requests by dynamic nodes", requests},
        {"durable subscriptions", durableSubscriptions}, {"several connections of a container", manyConnections}, {"errors of the broker", errorsOfTheBroker},
    };
    bool failed = false;
    for (const auto& f : all) {
        try {
            f.second();
            std::cout << "ok " << f.first << std::endl;
        } catch (const std::exception& e) {
            failed = true;
            std::cout << "FAILED " << f.first << ": " << e.what() << std::endl;
        }
    }
    return failed;
}
