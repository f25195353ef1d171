package websocket

import (
	"net/http"
	"slices"
	"strings"

	"github.com/entrepot-mq/entrepot/protocols"
)

// subprotocols by family, the one preferred first.
var subprotocols = map[string][]string{
	protocols.STOMP: {"v12.stomp", "v11.stomp", "v10.stomp", "stomp"},
	protocols.MQTT:  {"mqttv3.1", "mqtt"},
	protocols.AMQP:  {"amqp"},
}

// chooseSubprotocol finds the family that a client asks for, and the
// subprotocol to answer with: the best of the family's that it offered. A
// client that offers none speaks STOMP, as clients did before there were
// subprotocols; then the answer names none. Of several families the last one
// wins, as in ActiveMQ. Nothing is answered that was not offered
// (RFC 6455, 4.2.2): a client would have to fail the connection.
func chooseSubprotocol(r *http.Request) (family, subprotocol string, err error) {
	var offered []string
	for _, line := range r.Header.Values("Sec-Websocket-Protocol") {
		for word := range strings.SplitSeq(line, ",") {
			if word = strings.TrimSpace(word); word != "" {
				offered = append(offered, word)
			}
		}
	}
	if len(offered) == 0 {
		return protocols.STOMP, "", nil
	}
	for _, word := range offered {
		for name, known := range subprotocols {
			if slices.Contains(known, word) {
				family = name
			}
		}
	}
	for _, best := range subprotocols[family] {
		if slices.Contains(offered, best) {
			return family, best, nil
		}
	}
	return "", "", refuse(http.StatusBadRequest, "None of the offered subprotocols is known here; known: %s.",
		strings.Join(slices.Concat(subprotocols[protocols.STOMP], subprotocols[protocols.MQTT], subprotocols[protocols.AMQP]), ", "))
}
