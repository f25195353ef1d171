// Package console owns the broker's HTTP side: health probes, metrics and a
// landing page.
//
// cmd/entrepot starts it before the listeners and stops it last, so that a
// probe gets an answer during start and shutdown. It knows nothing of the
// broker: what it shows it asks of a [Source] at the time of the request, on
// the request's goroutine, so an idle broker pays nothing for being observed.
//
// It promises to answer health probes without touching the store's or a
// queue's locks for longer than Source.Stats does, and metrics of a fixed
// number of series: labels are protocols, reasons and listeners, never names
// that clients choose.
package console
