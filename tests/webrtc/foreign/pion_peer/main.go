// Peers of pion/webrtc in a process of their own, asked what to do by lines of JSON: lines.py.
//
// They send every message of a data channel back. They have no codecs: what they show is the media
// that they are sent, packet by packet.
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"net"
	"os"
	"sync"

	"github.com/pion/ice/v2"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v3"
)

// As lines.py has them.
const (
	blockSize   = 16384
	blockModulo = 251
	queued      = 64 * blockSize
)

type request struct {
	ID        int               `json:"id"`
	Peer      int               `json:"peer"`
	Call      string            `json:"call"`
	Arguments []json.RawMessage `json:"arguments"`
}

type configuration struct {
	ICEServers []struct {
		URLs       []string `json:"urls"`
		Username   string   `json:"username"`
		Credential string   `json:"credential"`
	} `json:"iceServers"`
	ICETransportPolicy string `json:"iceTransportPolicy"`
}

type channelOptions struct {
	Ordered           *bool   `json:"ordered"`
	MaxRetransmits    *uint16 `json:"maxRetransmits"`
	MaxPacketLifeTime *uint16 `json:"maxPacketLifeTime"`
	Protocol          *string `json:"protocol"`
}

type peer struct {
	connection *webrtc.PeerConnection
	restart    bool

	mutex      sync.Mutex
	changed    *sync.Cond
	candidates []webrtc.ICECandidateInit
	channels   map[string]*webrtc.DataChannel
	packets    map[string]int
	remote     map[string]*webrtc.TrackRemote
	shown      map[string]*webrtc.TrackLocalStaticRTP
	sum        hash.Hash
	bytes      int
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func decode(raw json.RawMessage, value any) {
	check(json.Unmarshal(raw, value))
}

// Do something under the mutex, and have who waits look again.
func (p *peer) change(do func()) {
	p.mutex.Lock()
	do()
	p.changed.Broadcast()
	p.mutex.Unlock()
}

// Wait until condition, which is asked under the mutex, holds.
func (p *peer) until(condition func() bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for !condition() {
		p.changed.Wait()
	}
}

func newPeer() *peer {
	p := &peer{
		channels: map[string]*webrtc.DataChannel{},
		packets:  map[string]int{},
		remote:   map[string]*webrtc.TrackRemote{},
		shown:    map[string]*webrtc.TrackLocalStaticRTP{},
	}
	p.changed = sync.NewCond(&p.mutex)
	return p
}

func (p *peer) begin(address string, rtc configuration) {
	engine := webrtc.SettingEngine{}
	engine.SetIPFilter(func(ip net.IP) bool { return ip.String() == address })
	engine.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	engine.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	codecs := &webrtc.MediaEngine{}
	check(codecs.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeVP8, ClockRate: 90000,
			RTCPFeedback: []webrtc.RTCPFeedback{
				{Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"},
			},
		},
		PayloadType: 96,
	}, webrtc.RTPCodecTypeVideo))
	check(codecs.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
		},
		PayloadType: 111,
	}, webrtc.RTPCodecTypeAudio))
	api := webrtc.NewAPI(webrtc.WithSettingEngine(engine), webrtc.WithMediaEngine(codecs))
	made := webrtc.Configuration{}
	for _, server := range rtc.ICEServers {
		made.ICEServers = append(made.ICEServers, webrtc.ICEServer{
			URLs: server.URLs, Username: server.Username, Credential: server.Credential})
	}
	made.ICETransportPolicy = webrtc.NewICETransportPolicy(rtc.ICETransportPolicy)
	connection, err := api.NewPeerConnection(made)
	check(err)
	p.connection = connection
	connection.OnICECandidate(func(candidate *webrtc.ICECandidate) {
		if candidate != nil {
			p.change(func() { p.candidates = append(p.candidates, candidate.ToJSON()) })
		}
	})
	connection.OnConnectionStateChange(func(webrtc.PeerConnectionState) { p.change(func() {}) })
	connection.OnDataChannel(p.watch)
	connection.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { p.play(track) })
}

func (p *peer) describe() any {
	var description webrtc.SessionDescription
	var err error
	if p.connection.SignalingState() == webrtc.SignalingStateHaveRemoteOffer {
		description, err = p.connection.CreateAnswer(nil)
	} else {
		description, err = p.connection.CreateOffer(&webrtc.OfferOptions{ICERestart: p.restart})
		p.restart = false
	}
	check(err)
	check(p.connection.SetLocalDescription(description))
	return description
}

func (p *peer) takeCandidates() any {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	taken := append([]webrtc.ICECandidateInit{}, p.candidates...)
	p.candidates = nil
	return taken
}

// Data channels

func (p *peer) watch(channel *webrtc.DataChannel) {
	channel.OnOpen(func() { p.change(func() { p.channels[channel.Label()] = channel }) })
	channel.OnClose(func() { p.change(func() {}) })
	channel.OnMessage(func(message webrtc.DataChannelMessage) {
		if message.IsString {
			check(channel.SendText(string(message.Data)))
		} else {
			check(channel.Send(message.Data))
		}
	})
}

// Return a channel, once it is open.
func (p *peer) channel(label string) *webrtc.DataChannel {
	p.until(func() bool { return p.channels[label] != nil })
	return p.channels[label]
}

func (p *peer) open(label string, options channelOptions) {
	channel, err := p.connection.CreateDataChannel(label, &webrtc.DataChannelInit{
		Ordered: options.Ordered, MaxRetransmits: options.MaxRetransmits,
		MaxPacketLifeTime: options.MaxPacketLifeTime, Protocol: options.Protocol})
	check(err)
	p.watch(channel)
}

func (p *peer) count(label string) {
	p.sum = sha256.New()
	p.channel(label).OnMessage(func(message webrtc.DataChannelMessage) {
		p.change(func() {
			p.sum.Write(message.Data)
			p.bytes += len(message.Data)
		})
	})
}

func (p *peer) sendFile(label string, blocks int) {
	channel := p.channel(label)
	channel.SetBufferedAmountLowThreshold(queued / 2)
	channel.OnBufferedAmountLow(func() { p.change(func() {}) })
	block := make([]byte, blockSize)
	for number := 0; number < blocks; number++ {
		p.until(func() bool { return channel.BufferedAmount() < queued })
		for index := range block {
			block[index] = byte(number % blockModulo)
		}
		check(channel.Send(block))
	}
}

// Media

// Send what comes in of a track to what is shown, if it is.
func (p *peer) play(track *webrtc.TrackRemote) {
	kind := track.Kind().String()
	p.change(func() { p.remote[kind] = track })
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		var shown *webrtc.TrackLocalStaticRTP
		p.change(func() {
			p.packets[kind]++
			shown = p.shown[kind]
		})
		if shown != nil {
			// They say whose packets these were.
			packet.Header.Extension, packet.Header.Extensions = false, nil
			_ = shown.WriteRTP(packet)
		}
	}
}

// Wait for more packets of a kind.
func (p *peer) morePackets(kind string, count int) {
	before := -1
	p.until(func() bool {
		if before < 0 {
			before = p.packets[kind]
		}
		return p.packets[kind] >= before+count
	})
}

func (p *peer) show() {
	for kind, mimeType := range map[string]string{
		"video": webrtc.MimeTypeVP8, "audio": webrtc.MimeTypeOpus} {
		track, err := webrtc.NewTrackLocalStaticRTP(
			webrtc.RTPCodecCapability{MimeType: mimeType}, kind, "stream")
		check(err)
		sender, err := p.connection.AddTrack(track)
		check(err)
		p.change(func() { p.shown[kind] = track })
		go p.passKeyFrameRequests(sender, kind)
	}
}

// Interceptors see RTCP only if somebody reads it.
func (p *peer) passKeyFrameRequests(sender *webrtc.RTPSender, kind string) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			if _, asked := packet.(*rtcp.PictureLossIndication); !asked {
				continue
			}
			var remote *webrtc.TrackRemote
			p.change(func() { remote = p.remote[kind] })
			if remote != nil {
				_ = p.connection.WriteRTCP([]rtcp.Packet{
					&rtcp.PictureLossIndication{MediaSSRC: uint32(remote.SSRC())}})
			}
		}
	}
}

func (p *peer) unshow(kind string) {
	for _, sender := range p.connection.GetSenders() {
		if track := sender.Track(); track != nil && track.Kind().String() == kind {
			check(p.connection.RemoveTrack(sender))
		}
	}
	p.change(func() { delete(p.shown, kind) })
}

func (p *peer) do(request request) (value any, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("%v", problem)
		}
	}()
	arguments := request.Arguments
	var text string
	var number int
	if len(arguments) > 0 {
		_ = json.Unmarshal(arguments[0], &text)
	}
	if len(arguments) > 1 {
		_ = json.Unmarshal(arguments[1], &number)
	}
	switch request.Call {
	case "begin":
		var rtc configuration
		decode(arguments[1], &rtc)
		p.begin(text, rtc)
	case "describe":
		value = p.describe()
	case "take":
		var description webrtc.SessionDescription
		decode(arguments[0], &description)
		check(p.connection.SetRemoteDescription(description))
	case "add":
		var candidate webrtc.ICECandidateInit
		decode(arguments[0], &candidate)
		check(p.connection.AddICECandidate(candidate))
	case "takeCandidates":
		value = p.takeCandidates()
	case "connected":
		p.until(func() bool {
			return p.connection.ConnectionState() == webrtc.PeerConnectionStateConnected
		})
	case "restart":
		p.restart = true
	case "open":
		var options channelOptions
		decode(arguments[1], &options)
		p.open(text, options)
	case "channel":
		found := p.channel(text)
		value = map[string]any{
			"ordered": found.Ordered(), "maxRetransmits": found.MaxRetransmits(),
			"maxPacketLifeTime": found.MaxPacketLifeTime(), "protocol": found.Protocol()}
	case "closed":
		channel := p.channel(text)
		p.until(func() bool { return channel.ReadyState() == webrtc.DataChannelStateClosed })
	case "count":
		p.count(text)
	case "counted":
		var size int
		decode(arguments[0], &size)
		p.until(func() bool { return p.bytes >= size })
		value = map[string]any{"bytes": p.bytes, "sha256": hex.EncodeToString(p.sum.Sum(nil))}
	case "sendFile":
		p.sendFile(text, number)
	case "packets":
		p.morePackets(text, number)
	case "show":
		p.show()
	case "unshow":
		p.unshow(text)
	default:
		panic("no such method: " + request.Call)
	}
	return value, nil
}

func main() {
	input := json.NewDecoder(bufio.NewReader(os.Stdin))
	output := json.NewEncoder(os.Stdout)
	os.Stdout = os.Stderr // which pion logs to
	var answering sync.Mutex
	peers := map[int]*peer{}
	for {
		var asked request
		if input.Decode(&asked) != nil {
			return
		}
		if peers[asked.Peer] == nil {
			peers[asked.Peer] = newPeer()
		}
		go func(p *peer) {
			value, err := p.do(asked)
			answer := map[string]any{"id": asked.ID, "value": value}
			if err != nil {
				answer = map[string]any{"id": asked.ID, "error": err.Error()}
			}
			answering.Lock()
			defer answering.Unlock()
			check(output.Encode(answer))
		}(peers[asked.Peer])
	}
}
