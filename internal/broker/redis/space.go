package redis

import "strconv"

// A space is the keys and channels of one partition. Its tag puts them all in one slot of a cluster.
type space struct {
	prefix, channels string // what keys, and channels, begin with
	clock, born      string
	control          string // a channel
}

func newSpace(prefix string, db, part, parts int) space {
	tag := "{" + partitionTag(part, parts) + "}"
	root, channels := prefix+tag, channelPrefix(prefix, db)+tag
	return space{prefix: root, channels: channels, clock: root + "clock", born: root + "born", control: channels + "control"}
}

// channelPrefix names the database, which Redis's channels do not belong to. That of database 0 goes without saying.
func channelPrefix(prefix string, db int) string {
	if db == 0 {
		return prefix
	}
	return prefix + "/" + strconv.Itoa(db)
}

func (sp *space) last(topic string) string    { return sp.prefix + "l:" + topic }
func (sp *space) stream(topic string) string  { return sp.prefix + "t:" + topic }
func (sp *space) channel(topic string) string { return sp.channels + "t:" + topic }
func (sp *space) key(key string) string       { return sp.prefix + "k:" + key }
func (sp *space) fence() string               { return sp.prefix + "fence" }
func (sp *space) cuts() string                { return sp.prefix + "cuts" }
func (sp *space) marks(replica string) string { return sp.channels + "m:" + replica }

// partitionTag finds a hash tag whose slot lies in the partition's share of a cluster's slots, so that partitions spread
// evenly over its nodes.
func partitionTag(part, parts int) string {
	const slots = 16384
	for n := 0; ; n++ {
		tag := "p" + strconv.Itoa(part)
		if n > 0 {
			tag += "." + strconv.Itoa(n)
		}
		if slot := int(crc16(tag)) % slots; slot*parts/slots == part {
			return tag
		}
	}
}

// crc16 is the checksum of the Redis Cluster specification (XMODEM).
func crc16(s string) uint16 {
	var crc uint16
	for i := range len(s) {
		crc ^= uint16(s[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
