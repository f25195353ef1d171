package api

import (
	"net/http"

	"github.com/entrepot-mq/entrepot/core/broker"
)

// transactionModel is a prepared transaction as it goes out.
type transactionModel struct {
	ID           string   `json:"id"`
	User         string   `json:"user,omitempty"`
	Sends        int      `json:"sends"`
	Settles      int      `json:"settles"`
	Destinations []string `json:"destinations"`
}

func showTransaction(p *broker.PreparedInfo) transactionModel {
	m := transactionModel{ID: p.ID, User: p.User, Sends: p.Sends, Settles: p.Settles, Destinations: p.Destinations}
	if m.Destinations == nil {
		m.Destinations = []string{}
	}
	return m
}

// listTransactions is for administrators alone: it names destinations of every
// user.
func (c *call) listTransactions() error {
	l, _, err := c.list()
	if err != nil {
		return err
	}
	got, err := c.b.PreparedTransactions(l)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, listed(l, got, showTransaction))
}

func (c *call) commitTransaction() error   { return c.endTransaction(true) }
func (c *call) rollbackTransaction() error { return c.endTransaction(false) }

func (c *call) endTransaction(commit bool) error {
	if err := c.b.EndTransaction(c.r.PathValue("transaction"), commit); err != nil {
		return err
	}
	return c.none()
}
