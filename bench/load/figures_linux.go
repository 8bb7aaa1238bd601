package main

import "time"

// The names of the figures, with their units.
const (
	deliveriesRate = "deliveries/s"
	publishesRate  = "publishes/s"
	streamsRate    = "streams/s"
	perCore        = "deliveries per second of server CPU"
	cpuDelivery    = "server CPU µs per delivery"
	cpuPublish     = "server CPU µs per publish"
	cpuStream      = "server CPU µs per stream"
	redisPublish   = "Redis CPU µs per publish"
	redisAllows    = "publishes/s that one Redis core allows"
	latencyP50     = "latency p50 ms"
	latencyP99     = "latency p99 ms"
	latencyMax     = "latency max ms"
	ackP50         = "publish answered p50 ms"
	ackP99         = "publish answered p99 ms"
	floorP50       = "floor: PUBLISH to Receive alone p50 ms"
	floorP99       = "floor: PUBLISH to Receive alone p99 ms"
	eventsPerRead  = "deliveries per read of the tool"
	toolRead       = "load tool CPU µs per read"
	memoryStream   = "process memory bytes per stream"
	busyServer     = "server core busy %"
	busyLoad       = "load core busy % (tool and Redis)"
	busyOthers     = "other processes busy % of a core"
	busyTool       = "load tool busy %"
)

// note works out the figures of the time between two samples.
func (r *run) note(before, after sample) {
	f, c := r.figures, r.client
	wall := after.at.Sub(before.at)
	delivered, published := after.delivered-before.delivered, after.published-before.published
	serverCPU, redisCPU, self := after.server-before.server, after.redis-before.redis, after.self-before.self
	f[busyServer] = 100 * float64(serverCPU) / float64(wall)
	f[busyLoad] = 100 * float64(redisCPU+self) / float64(wall)
	others := after.all - before.all - serverCPU - redisCPU - self
	f[busyOthers] = max(100*float64(others)/float64(wall), 0)
	f[busyTool] = 100 * float64(self) / float64(wall)
	if reads := after.reads - before.reads; reads > 0 {
		f[eventsPerRead] = float64(delivered) / float64(reads)
		f[toolRead] = micros(self) / float64(reads)
	}
	if delivered > 0 {
		f[deliveriesRate] = float64(delivered) / wall.Seconds()
		f[cpuDelivery] = micros(serverCPU) / float64(delivered)
		if serverCPU > 0 {
			f[perCore] = float64(delivered) / serverCPU.Seconds()
		}
		f[latencyP50] = millis(c.Latency.Percentile(50))
		f[latencyP99] = millis(c.Latency.Percentile(99))
		f[latencyMax] = millis(c.Latency.Max())
	}
	if published > 0 {
		f[publishesRate] = float64(published) / wall.Seconds()
		f[cpuPublish] = micros(serverCPU) / float64(published)
		f[ackP50] = millis(c.Acks.Percentile(50))
		f[ackP99] = millis(c.Acks.Percentile(99))
		if redisCPU > 0 {
			f[redisPublish] = micros(redisCPU) / float64(published)
			f[redisAllows] = float64(published) / redisCPU.Seconds()
		}
	}
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
