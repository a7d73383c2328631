"""A seeded world of sessions, scheduler, network and listeners, without sockets or clocks."""
