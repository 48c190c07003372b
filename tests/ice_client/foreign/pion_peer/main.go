// An agent of pion/ice in a process of its own.
//
//	pion_peer OPTIONS
//
// It tells and hears fragments on standard output and input, sends every packet back, and ends
// when its input does. See peer_options.py and fragment.py.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v2"
	"github.com/pion/logging"
)

const lifetime = 30 * time.Second

type options struct {
	Controlling bool   `json:"controlling"`
	Address     string `json:"address"`
	Transport   string `json:"transport"`
	Trickle     bool   `json:"trickle"`
	Lite        bool   `json:"lite"`
	RelayPort   int    `json:"relay_port"`
	Username    string `json:"username"`
	Password    string `json:"password"`
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// configuration says what to gather: one address's candidates, of one kind.
func configuration(is options) *ice.AgentConfig {
	log := logging.NewDefaultLoggerFactory() // PION_LOG_TRACE=all tells everything
	log.Writer = os.Stderr
	config := &ice.AgentConfig{
		LoggerFactory:    log,
		NetworkTypes:     []ice.NetworkType{ice.NetworkTypeUDP4},
		CandidateTypes:   []ice.CandidateType{ice.CandidateTypeHost},
		MulticastDNSMode: ice.MulticastDNSModeDisabled,
		Lite:             is.Lite,
		IPFilter:         func(ip net.IP) bool { return ip.String() == is.Address },
	}
	if is.Transport == "tcp" {
		listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(is.Address)})
		check(err)
		config.NetworkTypes = []ice.NetworkType{ice.NetworkTypeTCP4}
		config.TCPMux = ice.NewTCPMuxDefault(ice.TCPMuxParams{
			Listener:       listener,
			Logger:         log.NewLogger("ice"),
			ReadBufferSize: 8,
		})
	}
	if is.RelayPort != 0 {
		config.CandidateTypes = []ice.CandidateType{ice.CandidateTypeRelay}
		config.Urls = []*ice.URL{{
			Scheme:   ice.SchemeTypeTURN,
			Host:     is.Address,
			Port:     is.RelayPort,
			Username: is.Username,
			Password: is.Password,
			Proto:    ice.ProtoTypeUDP,
		}}
	}
	return config
}

// peer is the agent and what it has told.
type peer struct {
	options
	agent     *ice.Agent
	connected sync.Once
	mutex     sync.Mutex // of what follows: candidates come in a goroutine of the agent's
	untold    []string
}

// tell writes lines, and the empty one that ends a fragment.
func tell(lines ...string) {
	fmt.Print(strings.Join(append(lines, "", ""), "\n"))
}

func (p *peer) credentials() []string {
	fragment, password, err := p.agent.GetLocalUserCredentials()
	check(err)
	lines := []string{"a=ice-ufrag:" + fragment, "a=ice-pwd:" + password}
	if p.Lite {
		lines = append(lines, "a=ice-lite")
	}
	return lines
}

// gather begins a generation: its credentials are told, and its candidates as they come or at once.
func (p *peer) gather() {
	if p.Trickle {
		tell(p.credentials()...)
	} else {
		p.untold = p.credentials()
	}
	check(p.agent.GatherCandidates())
}

func (p *peer) onCandidate(candidate ice.Candidate) {
	line := "a=end-of-candidates"
	if candidate != nil {
		line = "a=candidate:" + candidate.Marshal()
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.untold = append(p.untold, line)
	if p.Trickle || candidate == nil {
		tell(p.untold...)
		p.untold = nil
	}
}

// take does what a fragment says.
func (p *peer) take(ctx context.Context, lines []string) {
	var fragment, password string
	for _, line := range lines {
		switch name, value, _ := strings.Cut(strings.TrimPrefix(line, "a="), ":"); name {
		case "restart":
			check(p.agent.Restart("", ""))
			p.gather()
		case "ice-ufrag":
			fragment = value
		case "ice-pwd":
			password = value
		case "candidate":
			candidate, err := ice.UnmarshalCandidate(value)
			check(err)
			check(p.agent.AddRemoteCandidate(candidate))
		}
	}
	if fragment == "" {
		return
	}
	first := false
	p.connected.Do(func() { first = true })
	if first {
		go p.echo(ctx, fragment, password)
	} else {
		check(p.agent.SetRemoteCredentials(fragment, password))
	}
}

func (p *peer) echo(ctx context.Context, fragment, password string) {
	connect := p.agent.Accept
	if p.Controlling {
		connect = p.agent.Dial
	}
	conn, err := connect(ctx, fragment, password)
	if ctx.Err() != nil {
		return
	}
	check(err)
	buffer := make([]byte, 65536)
	for {
		size, err := conn.Read(buffer)
		if err != nil {
			return // closed
		}
		// A packet that comes while a restart has no pair yet is lost, as on a network.
		_, _ = conn.Write(buffer[:size])
	}
}

func main() {
	p := &peer{}
	check(json.Unmarshal([]byte(os.Args[1]), &p.options))
	ctx, cancel := context.WithTimeout(context.Background(), lifetime)
	defer cancel()
	var err error
	p.agent, err = ice.NewAgent(configuration(p.options))
	check(err)
	check(p.agent.OnCandidate(p.onCandidate))
	p.gather()
	var lines []string
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		if input.Text() != "" {
			lines = append(lines, input.Text())
			continue
		}
		p.take(ctx, lines)
		lines = nil
	}
	cancel()
	check(p.agent.Close())
}
