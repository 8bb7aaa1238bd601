package main

import "time"

// A comparison is one workload that gateway and peer run in turns.
type comparison struct {
	Name   string // what the table says
	Work   string
	Params params
	Redis  bool
	Quick  bool // part of a quick run, too
	Rows   []row
}

// A row is a figure of a comparison that stands in the table.
type row struct {
	Figure string
	Goal   goal
}

// A goal bounds a figure of the gateway, or its ratio to the peer's. Zero is no bound.
type goal struct {
	RatioMin, RatioMax, Min, Max float64
	OrFull                       bool // met, too, where the core that Redis shares with the load tool is at work all the time
}

// plan lists what is compared. Its goals are the project's own, and stand in the table whether they are met or not.
func plan() []comparison {
	const thousand, fiveThousand = 1000, 5000
	closed := func(streams int) params { return params{Streams: streams, InFlight: 8} }
	manyTopics := params{Topics: thousand, Publishers: 64}
	return []comparison{
		{
			Name: "10,000 idle streams of one topic", Work: "idle", Params: params{Streams: 10_000, Concurrency: 32},
			Rows: []row{{memoryStream, goal{Max: 1000}}},
		},
		{
			Name: "10,000 idle streams, own topic each", Work: "idle", Quick: true,
			Params: params{Streams: 10_000, OwnTopics: true, Concurrency: 32},
			Rows:   []row{{memoryStream, goal{Max: 1500}}},
		},
		{
			Name: "fan-out to 1,000, 8 under way", Work: "fanout", Params: closed(thousand), Quick: true,
			Rows: []row{{deliveriesRate, goal{RatioMin: 3}}, {cpuDelivery, goal{}}, {latencyP50, goal{}}, {latencyP99, goal{}}},
		},
		{
			Name: "fan-out to 5,000, 8 under way", Work: "fanout", Params: closed(fiveThousand), Quick: true,
			Rows: []row{{deliveriesRate, goal{RatioMin: 8}}, {cpuDelivery, goal{}}, {latencyP50, goal{}}, {latencyP99, goal{}}},
		},
		{
			Name: "20 events/s to 1,000", Work: "rate", Params: params{Streams: thousand, Rate: 20, Duration: 4 * time.Second}, Quick: true,
			Rows: []row{{cpuDelivery, goal{RatioMax: 1}}, {latencyP50, goal{}}, {latencyP99, goal{RatioMax: 1}}},
		},
		{
			Name: "1,000 topics, one subscriber each, 64 publishers", Work: "topics", Params: manyTopics,
			Rows: []row{{publishesRate, goal{}}, {cpuPublish, goal{}}, {latencyP50, goal{}}, {latencyP99, goal{}}},
		},
		{
			Name: "publish only, 1,000 topics, 64 publishers", Work: "publish", Params: manyTopics,
			Rows: []row{{publishesRate, goal{}}, {cpuPublish, goal{}}},
		},
		{
			Name: "one publishing connection, 512 under way", Work: "ndjson", Params: params{Topics: 16, InFlight: 512},
			Rows: []row{{publishesRate, goal{}}, {cpuPublish, goal{}}},
		},
		{
			Name: "open 10,000 streams of one topic", Work: "storm", Params: params{Streams: 10_000},
			Rows: []row{{streamsRate, goal{RatioMin: 1}}, {cpuStream, goal{}}},
		},
		{
			Name: "open 10,000 streams, own topic each", Work: "storm", Params: params{Streams: 10_000, OwnTopics: true}, Quick: true,
			Rows: []row{{streamsRate, goal{RatioMin: 1}}, {cpuStream, goal{}}},
		},
		{
			Name: "fan-out to 1,000, 8 under way", Work: "fanout", Params: closed(thousand), Redis: true, Quick: true,
			Rows: []row{{deliveriesRate, goal{RatioMin: 3}}, {cpuDelivery, goal{}}, {latencyP50, goal{}}, {latencyP99, goal{}}},
		},
		{
			Name: "fan-out to 5,000, 8 under way", Work: "fanout", Params: closed(fiveThousand), Redis: true,
			Rows: []row{{deliveriesRate, goal{RatioMin: 8}}, {cpuDelivery, goal{}}, {latencyP50, goal{}}, {latencyP99, goal{}}},
		},
		{
			Name: "1,000 topics, one subscriber each, 64 publishers", Work: "topics", Params: manyTopics, Redis: true, Quick: true,
			Rows: []row{
				{publishesRate, goal{RatioMin: 3}},
				{cpuPublish, goal{Max: 40}},
				{redisPublish, goal{}},
				{latencyP50, goal{}},
				{latencyP99, goal{}},
			},
		},
		{
			Name: "one publishing connection, 512 under way", Work: "ndjson", Params: params{Topics: 16, InFlight: 512}, Redis: true, Quick: true,
			Rows: []row{
				{publishesRate, goal{Min: 60_000, OrFull: true}},
				{cpuPublish, goal{}},
				{redisAllows, goal{}},
				{busyLoad, goal{}},
			},
		},
		{
			Name: "open 10,000 streams, own topic each", Work: "storm", Params: params{Streams: 10_000, OwnTopics: true}, Redis: true, Quick: true,
			Rows: []row{{streamsRate, goal{}}, {cpuStream, goal{}}},
		},
		{
			Name: "1,000 events/s from one replica to another", Work: "replicas", Redis: true, Quick: true,
			Params: params{Topics: 10, Rate: thousand},
			Rows: []row{
				{latencyP50, goal{Max: 1}},
				{latencyP99, goal{Max: 5}},
				{floorP50, goal{}},
				{floorP99, goal{}},
			},
		},
	}
}

// A series is one workload of the gateway at growing sizes.
type series struct {
	Name    string
	Size    string // what grows
	Work    string
	Figures []string
	Sizes   []int
	Params  func(size int) params
}

// growth lists the series: figures that should not depend on the size.
func growth() []series {
	const second = time.Second
	return []series{
		{
			Name: "deliveries by subscribers of one topic, 8 events under way", Size: "subscribers", Work: "fanout",
			Figures: []string{deliveriesRate, perCore, cpuDelivery, latencyP50, latencyP99, busyServer, busyTool},
			Sizes:   []int{100, 300, 1000, 3000, 5000, 10_000, 15_000},
			Params:  func(n int) params { return params{Streams: n, InFlight: 8, Duration: 2 * second} },
		},
		{
			Name: "publish and delivery by topics, up to 1,000 streams with an equal share of them", Size: "topics", Work: "topics",
			Figures: []string{publishesRate, cpuPublish, latencyP50, latencyP99},
			Sizes:   []int{1, 10, 100, 1000, 10_000, 100_000},
			Params: func(n int) params {
				return params{Topics: n, PerStream: max(n/1000, 1), Duration: 2 * second}
			},
		},
		{
			Name: "publish and delivery in 1,000 topics by idle streams besides", Size: "idle streams", Work: "topics",
			Figures: []string{publishesRate, cpuPublish, latencyP50, latencyP99},
			Sizes:   []int{0, 1000, 5000, 15_000},
			Params:  func(n int) params { return params{Topics: 1000, Idle: n, Duration: 2 * second} },
		},
	}
}
