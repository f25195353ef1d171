// Package openwire tests the broker with ActiveMQ's own Java clients, 5.x
// (javax.jms) and 6.x (jakarta.jms), in plain JMS programs. The tests are
// behind the build tag integration, because they install the clients.
package openwire
