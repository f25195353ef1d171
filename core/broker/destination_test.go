package broker

import (
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

func TestClientsCreateAndDeleteDestinationsAsFarAsTheyMay(t *testing.T) {
	f := newFence(t, "queue://mine all guest\ntopic://mine all guest\nqueue://theirs read,write guest\nqueue://theirs all owner\n")
	user, owner := f.as("guest", ""), f.as("owner", "")
	for _, d := range []message.Destination{message.Queue("mine"), message.Topic("mine")} {
		must(t, user.CreateDestination(d))
		must(t, user.CreateDestination(d))
		must(t, user.DeleteDestination(d))
		wantCode(t, user.DeleteDestination(d), CodeNotFound, "no such")
	}
	theirs := message.Queue("theirs")
	wantRefusal(t, "a queue without the right to create it", user.CreateDestination(theirs), CodeForbidden)
	must(t, owner.CreateDestination(theirs))
	must(t, user.CreateDestination(theirs))
	wantRefusal(t, "deleting without the right to administer", user.DeleteDestination(theirs), CodeForbidden)
	user.send(theirs, "1")
	c := user.subscribe(Subscription{Destination: theirs})
	wantCode(t, owner.DeleteDestination(theirs), CodeInUse, "1 consumers")
	c.Close()
	must(t, owner.DeleteDestination(theirs))
}
