package server

import (
	_ "embed"
	"fmt"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"text/template"

	"sse-gateway/bench/internal/wire"
)

// Options say how a server is started.
type Options struct {
	Core  int
	Dir   string // an existing directory of its own
	Redis string // address of Redis; empty: the server keeps events in its own memory
	Path  string // of the gateway's binary

	Env  []string // further settings of the gateway
	Args []string // further arguments of Redis
}

// StartGateway starts this project's gateway with its default settings.
func StartGateway(o Options) (*Process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddr()
	if err != nil {
		return nil, err
	}
	env := []string{"GATEWAY_ADDR=" + addr, "GATEWAY_ADMIN_ADDR=" + admin, "GATEWAY_LOG_LEVEL=warn"}
	if o.Redis != "" {
		env = append(env, "GATEWAY_REDIS_URL=redis://"+o.Redis)
	}
	env = append(env, o.Env...)
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, fmt.Errorf("find the gateway: %w", err)
	}
	p, err := start(o.Core, o.Dir, env, path)
	if err != nil {
		return nil, err
	}
	p.Target, p.Admin = wire.Gateway(addr), admin
	return p, p.await(answers(http.MethodGet, "http://"+addr+"/readyz"))
}

//go:embed nginx.conf
var nginxConf string

// NchanModule is where Debian's libnginx-mod-nchan puts the module.
const NchanModule = "/usr/lib/nginx/modules/ngx_nchan_module.so"

// StartNchan starts nginx with nchan and one worker; it keeps as many events, for as long, as the gateway does.
func StartNchan(o Options) (*Process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	me, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("find out the current user: %w", err)
	}
	var conf strings.Builder
	err = template.Must(template.New("nginx.conf").Parse(nginxConf)).Execute(&conf, map[string]string{
		"Module": NchanModule, "User": me.Username, "Dir": o.Dir, "Addr": addr, "Redis": o.Redis,
	})
	if err != nil {
		return nil, fmt.Errorf("write nginx.conf: %w", err)
	}
	path := filepath.Join(o.Dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf.String()), 0o600); err != nil {
		return nil, fmt.Errorf("write nginx.conf: %w", err)
	}
	p, err := start(o.Core, o.Dir, nil, "nginx", "-p", o.Dir, "-c", path, "-e", filepath.Join(o.Dir, "error.log"))
	if err != nil {
		return nil, err
	}
	p.Target = wire.Nchan(addr)
	// nginx answers 503 until it has reached Redis.
	return p, p.await(answers(http.MethodPost, "http://"+addr+"/pub?id=probe"))
}

// StartRedis starts a Redis that writes nothing to disk and returns its address in Target.Addr.
func StartRedis(o Options) (*Process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	host, port, _ := strings.Cut(addr, ":")
	args := append([]string{
		"--bind", host, "--port", port, "--dir", o.Dir, "--save", "", "--appendonly", "no", "--daemonize", "no",
	}, o.Args...)
	p, err := start(o.Core, o.Dir, nil, "redis-server", args...)
	if err != nil {
		return nil, err
	}
	p.Target.Addr = addr
	return p, p.await(listens(addr))
}
