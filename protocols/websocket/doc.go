// Package websocket carries the other protocols over WebSocket (RFC 6455): it
// answers the HTTP request of an accepted connection, and hands the upgraded
// one to the frontend that its subprotocol names.
//
// cmd/entrepot makes one Frontend with New and gives it to the listeners,
// which call Serve for connections of ws, wss and auto listeners.
//
// What the inner frontend gets is a net.Conn: Read streams across frames and
// messages, so neither is ever held in memory whole, and every message's
// size (inflated, if it was compressed) is bounded by wireFormat.maxFrameSize. Pings are
// answered and close frames exchanged while it reads. It is also a
// protocols.MessageWriter, for protocols that send one frame as one message.
// A read deadline that passes ends the connection: a frame may have been cut.
// Text is not checked to be UTF-8 here; the frontends know what they need.
//
// Who may connect: a browser tells which page opened the connection (Origin).
// Pages of the same host and of loopback are served, others must be listed in
// websocket.allowedOrigins. Clients that are no browsers send no Origin.
//
// gorilla/websocket does the framing, behind the interface engine: nothing
// else knows it. Locks: conn.writing before wire.mu before
// wire.deadlineMu; conn.pingMu before the wheel's.
package websocket
