package main

// A cost is what one thing takes, and where that is known from.
type cost struct {
	Value float64
	Unit  string
	What  string
	From  string
}

// costs are all that an estimate is computed from.
type costs struct {
	Publish, PublishBatched, Delivery, DeliveryFull, Receive, Open, OpenKnown, Partition cost

	RedisPublish, RedisPublishBatched, RedisReplica, RedisOpen, RedisOpenKnown, RedisPartition, RedisEvent, RedisTopic cost

	Base, Stream, Subscription, Socket cost

	Envelope, Packet, Heartbeat cost
}

// Where costs are known from.
const (
	results = "bench/RESULTS.md"
	here    = "capacity measure"
	wire    = "the wire form"
)

// measured are the costs of 2026-11-26, the middle of three runs. bench/CAPACITY.md says how they were measured, and on what.
func measured() costs {
	return costs{
		Publish:        cost{55, "µs", "a publish with a request of its own, with its first delivery", results},
		PublishBatched: cost{9.3, "µs", "a publish in an array or NDJSON, with its first delivery", results},
		Delivery:       cost{13.5, "µs", "a delivery with a write of its own, most of it the kernel's", results},
		DeliveryFull:   cost{2.1, "µs", "a delivery at full load, when several leave in one write", results},
		Receive:        cost{2.5, "µs", "an event that a replica gets from Redis for its subscribers", here},
		Open:           cost{190, "µs", "a stream that is opened, its topic new to the replica", here},
		OpenKnown:      cost{68, "µs", "a stream that comes back, its topic known to the replica", here},
		Partition:      cost{38, "µs/s", "a partition of a Cluster, whatever happens in it", here},

		RedisPublish:        cost{18, "µs", "Redis: a publish with a request of its own, one replica subscribed", results},
		RedisPublishBatched: cost{13, "µs", "Redis: a publish in an array or NDJSON, one replica subscribed", here},
		RedisReplica:        cost{0.7, "µs", "Redis: each further replica that is subscribed", here},
		RedisOpen:           cost{75, "µs", "Redis: a stream that is opened, its topic new to the replica", here},
		RedisOpenKnown:      cost{2.5, "µs", "Redis: a stream that comes back, its topic known to the replica", here},
		RedisPartition:      cost{34, "µs/s", "Redis: a partition and replica, whatever happens in it", here},
		RedisEvent:          cost{98, "bytes", "Redis: an event that is kept, besides its data", here},
		RedisTopic:          cost{4500, "bytes", "Redis: a topic that has events, however few", here},

		Base:         cost{18e6, "bytes", "a replica with hardly a stream", here},
		Stream:       cost{632, "bytes", "an idle stream", results},
		Subscription: cost{385, "bytes", "a topic with subscribers on a replica", results},
		Socket:       cost{3600, "bytes", "a stream's socket, in the kernel; what is under way comes on top", here},

		Envelope:  cost{90, "bytes", "an event on the wire, besides its data, for a topic of 20 characters", wire},
		Packet:    cost{66, "bytes", "Ethernet, IP and TCP around each write", wire},
		Heartbeat: cost{40, "bytes", "a heartbeat with its position", wire},
	}
}

// all are the costs in the order in which they are shown.
func (c costs) all() []cost {
	return []cost{
		c.Publish, c.PublishBatched, c.Delivery, c.DeliveryFull, c.Receive, c.Open, c.OpenKnown, c.Partition,
		c.RedisPublish, c.RedisPublishBatched, c.RedisReplica, c.RedisOpen, c.RedisOpenKnown, c.RedisPartition, c.RedisEvent, c.RedisTopic,
		c.Base, c.Stream, c.Subscription, c.Socket, c.Envelope, c.Packet, c.Heartbeat,
	}
}
