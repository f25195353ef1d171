package api

import (
	"net/http"
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/security"
)

// Route is one line of the API.
type Route struct {
	Method  string
	Pattern string // of http.ServeMux; {name} is a destination's
	Name    string // its operationId, and its name in the audit log
	Role    Role
	Action  security.Action // permission on the destination in the path
	early   bool            // answered while the broker starts
	large   bool            // the body is messages
	handle  func(*call) error
}

const v1 = "/api/v1"

// routes is the whole API.
var routes = []Route{
	{"GET", v1 + "/openapi.yaml", "getDescription", None, 0, true, false, (*call).description},
	{"GET", v1 + "/cluster", "getCluster", Read, 0, true, false, (*call).cluster},
	{"GET", v1 + "/cluster/members", "listMembers", Read, 0, false, false, (*call).members},
	{"POST", v1 + "/cluster/members", "addMember", Admin, 0, false, false, (*call).addMember},
	{"DELETE", v1 + "/cluster/members/{node}", "removeMember", Admin, 0, false, false, (*call).removeMember},
	{"POST", v1 + "/cluster/step-down", "stepDown", Admin, 0, false, false, (*call).stepDown},
	{"POST", v1 + "/cluster/force-leader", "forceLeader", Admin, 0, true, false, (*call).forceLeader},
	{"GET", v1 + "/caller", "getCaller", None, 0, true, false, (*call).caller},
	{"GET", v1 + "/broker", "getBroker", Read, 0, false, false, (*call).broker},
	{"GET", v1 + "/rates", "streamRates", Read, 0, false, false, (*call).rates},
	{"GET", v1 + "/definitions", "exportDefinitions", Read, 0, false, false, (*call).exportDefinitions},
	{"POST", v1 + "/definitions", "importDefinitions", Admin, 0, false, false, (*call).importDefinitions},

	{"GET", v1 + "/queues", "listQueues", Read, 0, false, false, (*call).listQueues},
	{"POST", v1 + "/queues", "createQueue", Admin, 0, false, false, (*call).createQueue},
	{"GET", v1 + "/queues/{name}", "getQueue", Read, 0, false, false, (*call).getQueue},
	{"DELETE", v1 + "/queues/{name}", "deleteQueue", Admin, security.Admin, false, false, (*call).deleteQueue},
	{"POST", v1 + "/queues/{name}/purge", "purgeQueue", Operate, security.Admin, false, false, (*call).purge},
	{"POST", v1 + "/queues/{name}/pause", "pauseQueue", Operate, security.Admin, false, false, (*call).pause},
	{"POST", v1 + "/queues/{name}/resume", "resumeQueue", Operate, security.Admin, false, false, (*call).resume},
	{"POST", v1 + "/queues/{name}/move", "moveMessages", Operate, security.Admin, false, false, (*call).move},
	{"POST", v1 + "/queues/{name}/copy", "copyMessages", Operate, security.Read, false, false, (*call).copy},
	{"POST", v1 + "/queues/{name}/retry", "retryMessages", Operate, security.Admin, false, false, (*call).retry},
	{"POST", v1 + "/queues/{name}/delete", "deleteMessages", Operate, security.Admin, false, false, (*call).deleteMessages},
	{"GET", v1 + "/queues/{name}/consumers", "listQueueConsumers", Read, 0, false, false, (*call).queueConsumers},
	{"GET", v1 + "/queues/{name}/messages", "browseQueue", Read, security.Read, false, false, (*call).browse},
	{"POST", v1 + "/queues/{name}/messages", "sendToQueue", Operate, security.Write, false, true, (*call).send},
	{"GET", v1 + "/queues/{name}/messages/{ref}", "getMessage", Read, security.Read, false, false, (*call).getMessage},
	{"GET", v1 + "/queues/{name}/messages/{ref}/body", "getMessageBody", Read, security.Read, false, false, (*call).getBody},
	{"DELETE", v1 + "/queues/{name}/messages/{ref}", "deleteMessage", Operate, security.Admin, false, false, (*call).deleteMessage},
	{"GET", v1 + "/queues/{name}/export", "exportMessages", Read, security.Read, false, false, (*call).export},
	{"POST", v1 + "/queues/{name}/import", "importMessages", Operate, security.Write, false, true, (*call).importMessages},

	{"GET", v1 + "/topics", "listTopics", Read, 0, false, false, (*call).listTopics},
	{"GET", v1 + "/topics/{name}", "getTopic", Read, 0, false, false, (*call).getTopic},
	{"POST", v1 + "/topics", "createTopic", Admin, 0, false, false, (*call).createTopic},
	{"DELETE", v1 + "/topics/{name}", "deleteTopic", Admin, security.Admin, false, false, (*call).deleteTopic},
	{"POST", v1 + "/topics/{name}/messages", "sendToTopic", Operate, security.Write, false, true, (*call).send},
	{"GET", v1 + "/subscriptions", "listSubscriptions", Read, 0, false, false, (*call).listSubscriptions},
	{"DELETE", v1 + "/subscriptions/{client}/{subscription}", "deleteSubscription", Admin, 0, false, false, (*call).deleteSubscription},
	{"GET", v1 + "/subscriptions/{client}/{subscription}/messages", "browseSubscription", Read, 0, false, false, (*call).browseSubscription},
	{"POST", v1 + "/subscriptions/{client}/{subscription}/purge", "purgeSubscription", Operate, 0, false, false, (*call).purgeSubscription},
	{"POST", v1 + "/subscriptions", "createSubscription", Admin, 0, false, false, (*call).createSubscription},
	{"GET", v1 + "/subscriptions/{client}/{subscription}", "getSubscription", Read, 0, false, false, (*call).getSubscription},
	{"GET", v1 + "/policies", "getPolicy", Read, 0, false, false, (*call).getPolicy},

	{"GET", v1 + "/connections", "listConnections", Read, 0, false, false, (*call).listConnections},
	{"GET", v1 + "/connections/{id}", "getConnection", Read, 0, false, false, (*call).getConnection},
	{"DELETE", v1 + "/connections/{id}", "closeConnection", Operate, 0, false, false, (*call).closeConnection},
	{"GET", v1 + "/consumers", "listConsumers", Read, 0, false, false, (*call).listConsumers},
	{"GET", v1 + "/producers", "listProducers", Read, 0, false, false, (*call).listProducers},
	{"GET", v1 + "/schedules", "listSchedules", Read, 0, false, false, (*call).listSchedules},
	{"GET", v1 + "/schedules/{job}", "getSchedule", Read, 0, false, false, (*call).getSchedule},
	{"DELETE", v1 + "/schedules/{job}", "deleteSchedule", Operate, 0, false, false, (*call).deleteSchedule},
	{"POST", v1 + "/schedules/{job}/run", "runSchedule", Operate, 0, false, false, (*call).runSchedule},

	{"GET", v1 + "/transactions", "listTransactions", Admin, 0, false, false, (*call).listTransactions},
	{"POST", v1 + "/transactions/{transaction}/commit", "commitTransaction", Admin, 0, false, false, (*call).commitTransaction},
	{"POST", v1 + "/transactions/{transaction}/rollback", "rollbackTransaction", Admin, 0, false, false, (*call).rollbackTransaction},

	// What ActiveMQ's users and their tools ask for.
	{"POST", "/api/message/{path...}", "restSend", Operate, 0, false, false, (*call).restSend},
	{"GET", "/api/message/{path...}", restReceive, Operate, 0, false, false, (*call).restReceive},
	{"DELETE", "/api/message/{path...}", "restDelete", Operate, 0, false, false, (*call).restReceive},
	{"GET", "/api/jolokia/{path...}", "jolokiaGet", Read, 0, false, false, (*call).jolokiaGet},
	{"POST", "/api/jolokia/{path...}", "jolokiaPost", Read, 0, false, false, (*call).jolokiaPost},
	{"GET", "/admin/xml/queues.jsp", "xmlQueues", Read, 0, false, false, (*call).xmlQueues},
	{"GET", "/admin/xml/topics.jsp", "xmlTopics", Read, 0, false, false, (*call).xmlTopics},
	{"GET", "/admin/xml/subscribers.jsp", "xmlSubscribers", Read, 0, false, false, (*call).xmlSubscribers},
	{"GET", "/metrics/detailed", "detailedMetrics", Read, 0, false, false, (*call).detailed},
}

// restReceive is the one route whose GET takes something away.
const restReceive = "restReceive"

// writes reports whether the route changes something.
func (r *Route) writes() bool {
	return r.Method != http.MethodGet && r.Name != "jolokiaPost" || r.Name == restReceive
}

func (r *Route) bodyLimit() int64 {
	if r.large {
		return maxMessages
	}
	return maxJSON
}

// destination returns what the path names, zero if that is no destination.
func (r *Route) destination(req *http.Request) message.Destination {
	name := req.PathValue("name")
	switch {
	case name == "":
	case strings.Contains(r.Pattern, "/queues/{name}"):
		return message.Queue(name)
	case strings.Contains(r.Pattern, "/topics/{name}"):
		return message.Topic(name)
	}
	return message.Destination{}
}
