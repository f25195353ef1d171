// Package api is the broker's HTTP API: /api/v1, described by openapi.yaml,
// and what monitoring tools and scripts for ActiveMQ ask for: /api/message,
// the reading half of /api/jolokia, /admin/xml.
//
// The assembly mounts [New]'s handler on the console. Every route stands in
// one table (routes.go) with the role that it needs and the permission on the
// destination that its path names; a request is answered only after both were
// checked. A request that changes something and comes from another site's page
// is refused, and so is one whose Host is not this machine's where nothing but
// the address says who asks.
//
// Bodies, pages, and what one request makes the broker look at are bounded.
// Errors are problem documents (RFC 9457).
package api
