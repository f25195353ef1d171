package broker

import "testing"

func TestAPausedQueueStaysSoAfterARestart(t *testing.T) {
	for name, again := range map[string]func(*rig){
		"running":      func(*rig) {},
		"restart":      func(r *rig) { r.restart() },
		"two restarts": func(r *rig) { r.restart(); r.restart() },
		"kill":         func(r *rig) { r.kill(1) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			p := connect(t, r.Broker, "")
			p.send(a, "1")
			if err := r.SetPaused("a", true); err != nil {
				t.Fatal(err)
			}
			again(r)
			c := connect(t, r.Broker, "")
			k := c.subscribe(Subscription{Destination: a})
			connect(t, r.Broker, "").send(a, "2")
			if s := k.State(); s.Delivered != 0 {
				t.Fatalf("%d deliveries of a paused queue", s.Delivered)
			}
			if s, err := r.Queue("a"); err != nil || !s.Paused {
				t.Fatalf("%+v, %v", s, err)
			}
			if err := r.SetPaused("a", false); err != nil {
				t.Fatal(err)
			}
			wantBodies(t, c.deliveries(2), "1", "2")
			again(r)
			if s, err := r.Queue("a"); err != nil || s.Paused {
				t.Fatalf("%+v, %v", s, err)
			}
		})
	}
}

func TestPausingAnUnknownQueueIsAnError(t *testing.T) {
	r := newRig(t)
	wantCode(t, r.SetPaused("nope", true), CodeNotFound, "pause")
	(&pauses{r.Broker}).apply([]byte{1})
	(&pauses{r.Broker}).apply([]byte{2, 1, 'a'})
	(&pauses{r.Broker}).apply(append([]byte{1}, appendDestination(nil, a)...))
}
