package redis

import (
	"strings"
	"testing"
)

func TestParseRedisURL(t *testing.T) {
	for _, good := range []string{
		"redis://localhost:6379", "redis://user:pass@h:1/3", "rediss://h:1",
		"redis+sentinel://a:1,b:2/main", "redis+sentinel://:pw@a:1/main/2", "redis+cluster://a:1,b:2,c:3",
	} {
		if _, _, err := parseRedisURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "localhost", "http://secret@h", "redis+sentinel://secret@a:1", "redis://h:1/x-secret", "redis://%zz:secret@h"} {
		if _, _, err := parseRedisURL(bad); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestPartitionTag_SpreadsOverTheSlots(t *testing.T) {
	for _, parts := range []int{1, 16, 64} {
		for part := range parts {
			if slot := int(crc16(partitionTag(part, parts))) % 16384; slot*parts/16384 != part {
				t.Errorf("partition %d of %d is in slot %d", part, parts, slot)
			}
		}
	}
}
