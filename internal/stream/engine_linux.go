package stream

func newEngine(*Streams) (engine, error) { return nil, nil }
