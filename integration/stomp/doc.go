// Package stomp runs one list of features, those that programs written for
// ActiveMQ use, from clients that others wrote: stomp.py (py/features.py) and
// @stomp/stompjs in Node over WebSocket and TCP and in a Chromium page
// (js/features.mjs). py/queues.py and py/topics.py try with stomp.py and the
// HTTP API what destinations do by policy. Each client prints a line for a
// feature, "ok name" or "FAIL name: why". go-stomp's turn is in protocols/stomp.
package stomp
