package api

import (
	"net/http"
	"net/http/httputil"
	"net/url"
)

// forwarded marks a request that a node has passed on, so that nodes that
// disagree about who is the master don't pass it on for ever.
const forwarded = "Entrepot-Forwarded"

// forward passes the request on to the master's API, which decides who asks and
// whether they may: passwords and tokens go along. It reports whether it has
// answered; without a group, or on the master, it hasn't.
func (c *call) forward() (done bool, err error) {
	if c.o.Master == nil {
		return false, nil
	}
	address, standby := c.o.Master()
	switch {
	case !standby:
		return false, nil
	case address == "" || c.r.Header.Get(forwarded) != "":
		return true, &problem{status: http.StatusServiceUnavailable, detail: "this node isn't the master, and which one is isn't known at the moment"}
	}
	proxy := httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: address})
			h := r.Out.Header
			h.Set(forwarded, "1")
			// They were judged here, where the address is the one that the
			// browser knows.
			for _, name := range []string{"Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"} {
				h.Del(name)
			}
		},
		FlushInterval: -1, // streams
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			c.fail(w, r, &problem{status: http.StatusServiceUnavailable, detail: "this node isn't the master, and the one that is, at " + address + ", was not reached: " + err.Error()})
		},
	}
	proxy.ServeHTTP(c.w, c.r)
	return true, nil
}
