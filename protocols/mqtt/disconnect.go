package mqtt

// disconnect ends the connection by the client's will (MQTT 5.0, 3.14), which
// deletes the other one: the will message [MQTT-3.1.2-10] [MQTT-3.14.4-3].
func (c *conn) disconnect(p packet) error {
	d, err := readDisconnect(p, c.version)
	if err != nil {
		return err
	}
	if d.props.present.has(propSessionExpiry) {
		if c.expiry == 0 && d.props.sessionExpiry > 0 {
			return violation("DISCONNECT gives a session an expiry that CONNECT gave none") // [MQTT-3.14.2-2]
		}
		c.expiry = min(d.props.sessionExpiry, c.set.sessionExpiry)
	}
	c.withWill = d.reason != success
	return errDisconnect
}
