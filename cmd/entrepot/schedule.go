package main

import (
	"github.com/entrepot-mq/entrepot/cmd/config"
	"github.com/entrepot-mq/entrepot/core/broker"
)

// scheduleOptions are the broker's; the zone was validated.
func scheduleOptions(s *config.Schedule) broker.ScheduleOptions {
	zone, err := s.Location()
	if err != nil {
		zone = nil // the broker's own
	}
	return broker.ScheduleOptions{Off: !s.SchedulerSupport, MaxRepeat: s.MaxRepeat, MaxJump: s.MaxJump, Zone: zone}
}
