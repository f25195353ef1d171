package stomp

import "testing"

func TestConnectionsShareASubscription(t *testing.T) {
	for _, durable := range []string{"true", "false"} {
		r := newRig(t, nil)
		headers := []string{"id:s", "destination:/topic/t", "activemq.subscriptionName:workers", "activemq.shared:true", "activemq.durable:" + durable}
		c1, c2, p := r.connect(v12), r.connect(v12, "client-id:two"), r.connect(v12)
		c1.do("SUBSCRIBE", headers...)
		c2.do("SUBSCRIBE", headers...)
		p.do("SEND", "destination:/topic/t", "\n1")
		p.do("SEND", "destination:/topic/t", "\n2")
		c1.message("1")
		c2.message("2")
		c2.do("UNSUBSCRIBE", "id:s")
		c1.do("UNSUBSCRIBE", "id:s")
		p.do("SEND", "destination:/topic/t", "persistent:true", "\n3")
		c2.do("SUBSCRIBE", headers...)
		if durable == "true" {
			c2.message("3")
		}
		c2.quiet()
	}
}

func TestASharedDurableSubscriptionIsRemoved(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(v12)
	name := []string{"activemq.subscriptionName:workers", "activemq.shared:true"}
	c.do("SUBSCRIBE", append(name, "id:s", "destination:/topic/t")...)
	c.do("UNSUBSCRIBE", append(name, "id:s")...)
	c.send("UNSUBSCRIBE", append(name, "id:s")...)
	c.error("remove durable subscription workers: there is no shared one of that name")
	c.send("SUBSCRIBE", "id:1", "destination:/topic/a", "activemq.shared:true", "receipt:1")
	c.error("a shared subscription needs a name")
}

func TestAVirtualTopicsMessageShowsItsQueueAndItsTopic(t *testing.T) {
	for _, destination := range []string{"/queue/Consumer.A.VirtualTopic.x", "/queue/Consumer.*.VirtualTopic.>"} {
		r := newRig(t, nil)
		c, p := r.connect(v12), r.connect(v12)
		p.do("SUBSCRIBE", "id:1", "destination:/queue/Consumer.A.VirtualTopic.x")
		p.do("UNSUBSCRIBE", "id:1")
		c.do("SUBSCRIBE", "id:s", "destination:"+destination)
		p.do("SEND", "destination:/topic/VirtualTopic.x", "persistent:true", "\nm")
		f := c.message("m")
		if f.get("destination") != "/queue/Consumer.A.VirtualTopic.x" || f.get("original-destination") != "/topic/VirtualTopic.x" {
			t.Errorf("subscribed to %s: %v", destination, f)
		}
	}
}
