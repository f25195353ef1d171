// Package openwire tests the broker with ActiveMQ's own Java clients, 5.x
// (javax.jms) and 6.x (jakarta.jms): in plain JMS programs, and in applications
// of Spring Boot 2.7 and 3 with the stock starter, which know the broker by its
// URL only. The tests are behind the build tag integration, because they install
// the clients. Package cluster runs the same clients through failovers.
package openwire
