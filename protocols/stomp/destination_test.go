package stomp

import (
	"fmt"
	"strings"
	"testing"
)

func TestSpellingsOfDestinations(t *testing.T) {
	r := newRig(t, nil)
	for _, tt := range []struct{ sent, subscribed, shown string }{
		{"/queue/a", "/queue/a", "/queue/a"},
		{"/queue/foo/bar", "/queue/foo/bar", "/queue/foo/bar"},
		{"plain", "/queue/plain", "/queue/plain"},
		{"/exchange/x", "/queue//exchange/x", "/queue//exchange/x"},
		{"queue://qualified", "/queue/qualified", "/queue/qualified"},
		{"topic://qualified", "/topic/qualified", "/topic/qualified"},
		{" /queue/blanks ", "/queue/blanks", "/queue/blanks"},
		{"/queue/opt?persistent=x", "/queue/opt?consumer.prefetchSize=10&consumer.priority=3", "/queue/opt"},
		{"/queue/ü", "/queue/ü", "/queue/ü"},
		{`/queue/with\ccolon`, `/queue/with\ccolon`, "/queue/with:colon"},
		{"/queue/one,/topic/two", "/queue/one", "/queue/one"},
		{"/queue/one, /topic/two", "/topic/two", "/topic/two"},
		{"/topic/x,/topic/y", "/topic/y", "/topic/y"},
		{"/topic/z", "/topic/other,/topic/z", "/topic/z"},
		{"/queue/z", "/topic/other,/queue/z", "/queue/z"},
	} {
		c, p := r.connect(v12), r.connect(v12)
		c.do("SUBSCRIBE", "id:s", "destination:"+tt.subscribed)
		p.do("SEND", "destination:"+tt.sent, "\nx")
		if f := c.message("x"); f.get("destination") != tt.shown {
			t.Errorf("%q: got %v, want %s", tt.sent, f, tt.shown)
		}
		c.do("DISCONNECT")
	}
}

func TestRequestAndReplyOverATemporaryQueue(t *testing.T) {
	r := newRig(t, nil)
	for _, kind := range []string{"queue", "topic"} {
		server, c := r.connect(v12), r.connect(v12)
		server.do("SUBSCRIBE", "id:s", "destination:/queue/service")
		c.do("SUBSCRIBE", "id:replies", "destination:/temp-"+kind+"/replies")
		c.do("SEND", "destination:/queue/service", "reply-to:/temp-"+kind+"/replies", "correlation-id:7", "\nping")
		f := server.message("ping")
		to := f.get("reply-to")
		if !strings.HasPrefix(to, "/remote-temp-"+kind+"/ID:") {
			t.Fatalf("reply-to is shown as %s", to)
		}
		server.do("SEND", "destination:"+to, "correlation-id:"+f.get("correlation-id"), "\npong")
		if f := c.message("pong"); f.get("destination") != "/temp-"+kind+"/replies" || f.get("correlation-id") != "7" {
			t.Error(f)
		}
		// Its creator sees the name that it gave, in reply-to as well.
		c.do("SEND", "destination:/temp-"+kind+"/replies", "reply-to:/temp-"+kind+"/replies", "\nown")
		if f := c.message("own"); f.get("reply-to") != "/temp-"+kind+"/replies" {
			t.Error(f)
		}
		c.do("DISCONNECT")
		c.closed()
		server.send("SEND", "destination:"+to, "\nlate")
		server.error("send to temp-" + kind + "://" + strings.TrimPrefix(to, "/remote-temp-"+kind+"/") +
			": the temporary destination does not exist any more: its connection has ended")
		server.do("UNSUBSCRIBE", "id:s")
	}
}

func TestSameTemporaryNameOfTwoConnectionsIsTwoDestinations(t *testing.T) {
	r := newRig(t, nil)
	a, b := r.connect(v12), r.connect(v11)
	for _, c := range []*client{a, b} {
		c.do("SUBSCRIBE", "id:s", "destination:/temp-queue/x")
	}
	a.do("SEND", "destination:/temp-queue/x", "\nof a")
	b.do("SEND", "destination:/temp-queue/x", "\nof b")
	a.message("of a")
	b.message("of b")
}

func TestLimitOfTemporaryDestinations(t *testing.T) {
	c := newRig(t, map[string]string{optTemps: "3"}).connect(v12)
	for i := range 3 {
		c.do("SEND", fmt.Sprintf("destination:/temp-queue/%d", i), "\nx")
	}
	c.do("SEND", "destination:/temp-queue/0", "\nx")
	c.send("SEND", "destination:/temp-queue/3", "\nx")
	c.error("connection has 3 temporary destinations")
	c.send("SEND", "destination:/temp-topic/", "\nx")
	c.error(`temporary destination "": destination name is empty`)
}
