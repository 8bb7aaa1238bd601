package main

import (
	"math"
	"time"
)

// sizes is what a load takes: all of it computed.
type sizes struct {
	Deliveries  float64 // a second
	PublishCPU  float64 // cores of all replicas together
	DeliveryCPU float64
	ReceiveCPU  float64
	IdleCPU     float64 // heartbeats and partitions
	ByCPU       float64 // replicas that the work wants
	ByStreams   float64 // replicas that the streams want
	Replicas    float64 // one more than the larger of the two

	StreamsPerReplica float64
	Memory            float64 // bytes of a replica
	KernelMemory      float64 // bytes of its sockets beside

	RedisCPU    float64 // cores
	Primaries   float64
	RedisMemory float64 // bytes, of all primaries together

	ToSubscribers float64 // bytes a second, of all replicas together
	ToRedis       float64
	FromRedis     float64

	ReconnectCPU   float64       // core seconds of all replicas
	Reconnect      time.Duration // until all streams are back
	ReconnectRedis time.Duration // how long each primary works for it
	ReconnectOne   time.Duration // until those of one replica are back, when it dies
}

// estimate computes what a load takes, at what was measured.
func estimate(l load, c costs) sizes {
	var s sizes
	s.Deliveries = l.Rate * l.Fanout
	publish := c.Publish.Value
	if l.Batched {
		publish = c.PublishBatched.Value
	}
	s.PublishCPU = l.Rate * publish / 1e6
	s.DeliveryCPU = s.Deliveries * c.Delivery.Value / 1e6
	heartbeats := l.Streams / l.Heartbeat.Seconds()
	// Work depends on the number of replicas, since each that has a subscriber of an event's topic receives the event.
	s.ByStreams = math.Ceil(l.Streams / l.MaxStreams)
	s.Replicas = s.ByStreams
	s.Primaries = 1
	for range 20 {
		s.redis(l, c)
		received := l.Rate * math.Min(s.Replicas, l.Fanout)
		s.ReceiveCPU = received * c.Receive.Value / 1e6
		s.IdleCPU = heartbeats * c.Delivery.Value / 1e6
		if s.Primaries > 1 {
			s.IdleCPU += s.Replicas * l.Partitions * c.Partition.Value / 1e6
		}
		s.ByCPU = math.Ceil((s.PublishCPU + s.DeliveryCPU + s.ReceiveCPU + s.IdleCPU) / (l.Cores * l.Busy))
		s.Replicas = math.Max(s.ByCPU, s.ByStreams) + 1
	}
	s.memory(l, c)
	s.bandwidth(l, c)
	s.reconnect(l, c)
	return s
}

// redis is how many cores of Redis the publishes want; a primary has one.
func (s *sizes) redis(l load, c costs) {
	replicas := math.Min(s.Replicas, l.Fanout)
	perEvent := c.RedisPublish.Value + math.Max(replicas-1, 0)*c.RedisReplica.Value
	if l.Batched {
		perEvent -= c.RedisPublish.Value - c.RedisPublishBatched.Value
	}
	s.RedisCPU = l.Rate * perEvent / 1e6
	s.Primaries = math.Max(math.Ceil(s.RedisCPU/l.Busy), 1)
	if s.Primaries > 1 {
		s.RedisCPU += s.Replicas * l.Partitions * c.RedisPartition.Value / 1e6
		s.Primaries = math.Ceil(s.RedisCPU / l.Busy)
	}
	events := math.Min(l.HistorySize, l.Rate/l.Topics*l.HistoryTTL.Seconds())
	s.RedisMemory = l.Topics * (c.RedisTopic.Value + events*(c.RedisEvent.Value+l.Bytes))
}

func (s *sizes) memory(l load, c costs) {
	s.StreamsPerReplica = math.Ceil(l.Streams / (s.Replicas - 1)) // when one is away
	topics := math.Min(l.Topics, s.StreamsPerReplica*l.PerStream)
	s.Memory = c.Base.Value + s.StreamsPerReplica*c.Stream.Value + topics*c.Subscription.Value
	s.KernelMemory = s.StreamsPerReplica * c.Socket.Value
}

func (s *sizes) bandwidth(l load, c costs) {
	event := l.Bytes + c.Envelope.Value
	s.ToSubscribers = s.Deliveries*(event+c.Packet.Value) + l.Streams/l.Heartbeat.Seconds()*(c.Heartbeat.Value+c.Packet.Value)
	s.ToRedis = l.Rate * event
	s.FromRedis = l.Rate * math.Min(s.Replicas, l.Fanout) * event
}

// reconnect is when all streams come back at once, or those of one replica: spread by their retry, and as fast as replicas and Redis
// open them.
func (s *sizes) reconnect(l load, c costs) {
	s.ReconnectCPU, s.Reconnect, s.ReconnectRedis = s.opening(l, c, l.Streams, s.Replicas)
	_, s.ReconnectOne, _ = s.opening(l, c, l.Streams/s.Replicas, s.Replicas-1)
}

// opening is what it takes to open streams on so many replicas. The first of a topic on a replica costs more than the others.
func (s *sizes) opening(l load, c costs, streams, replicas float64) (coreSeconds float64, took, redis time.Duration) {
	first := math.Min(streams*l.PerStream, l.Topics*math.Min(replicas, l.Fanout))
	others := math.Max(streams-first, 0)
	coreSeconds = (first*c.Open.Value + others*c.OpenKnown.Value) / 1e6
	redisSeconds := (first*c.RedisOpen.Value + others*c.RedisOpenKnown.Value) / 1e6 / s.Primaries
	last := l.Retry.Seconds() * 1.5 // the longest retry that is drawn
	return coreSeconds, seconds(math.Max(last, math.Max(coreSeconds/(replicas*l.Cores), redisSeconds))), seconds(redisSeconds)
}

func seconds(f float64) time.Duration { return time.Duration(f * float64(time.Second)) }
