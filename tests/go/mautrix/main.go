// A mautrix bridge to a network that is none: upstream's own bridge (bridgev2: its config, database, encryption,
// commands, permissions and double puppets), and in place of WhatsApp and the like somebody who says back what they hear.
package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	up "go.mau.fi/util/configupgrade"
	"maunium.net/go/mautrix/bridgev2"
	"maunium.net/go/mautrix/bridgev2/database"
	"maunium.net/go/mautrix/bridgev2/matrix/mxmain"
	"maunium.net/go/mautrix/bridgev2/networkid"
	"maunium.net/go/mautrix/bridgev2/simplevent"
	"maunium.net/go/mautrix/event"
)

// Network is what the bridge leads to: what the program is called.
var Network = filepath.Base(os.Args[0])

const echo networkid.UserID = "echo"

// Settings are those of a network's own that the product writes: Telegram's.
type Settings struct {
	APIID   int    `yaml:"api_id"`
	APIHash string `yaml:"api_hash"`
}

// Connector is the network.
type Connector struct {
	bridge   *bridgev2.Bridge
	settings Settings
}

func (c *Connector) Init(bridge *bridgev2.Bridge)       { c.bridge = bridge }
func (c *Connector) Start(context.Context) error        { return nil }
func (c *Connector) GetDBMetaTypes() database.MetaTypes { return database.MetaTypes{} }
func (c *Connector) GetBridgeInfoVersion() (int, int)   { return 1, 1 }
func (c *Connector) GetCapabilities() *bridgev2.NetworkGeneralCapabilities {
	return &bridgev2.NetworkGeneralCapabilities{}
}

func (c *Connector) GetName() bridgev2.BridgeName {
	return bridgev2.BridgeName{DisplayName: Network, NetworkID: Network, BeeperBridgeType: Network, DefaultPort: 29999}
}

func (c *Connector) GetConfig() (string, any, up.Upgrader) {
	copied := func(helper up.Helper) {
		helper.Copy(up.Int, "api_id")
		helper.Copy(up.Str, "api_hash")
	}
	return "api_id: 12345\napi_hash: none\n", &c.settings, up.SimpleUpgrader(copied)
}

func (c *Connector) GetLoginFlows() []bridgev2.LoginFlow {
	return []bridgev2.LoginFlow{{Name: "Name", Description: "Say a name", ID: "name"}}
}

func (c *Connector) CreateLogin(_ context.Context, user *bridgev2.User, _ string) (bridgev2.LoginProcess, error) {
	return &Login{user: user}, nil
}

func (c *Connector) LoadUserLogin(_ context.Context, login *bridgev2.UserLogin) error {
	login.Client = &Client{login: login}
	return nil
}

// Login asks for a name, and believes it.
type Login struct{ user *bridgev2.User }

func (l *Login) Cancel() {}

func (l *Login) Start(context.Context) (*bridgev2.LoginStep, error) {
	field := bridgev2.LoginInputDataField{Type: bridgev2.LoginInputFieldTypeUsername, ID: "name", Name: "Name"}
	return &bridgev2.LoginStep{
		Type:            bridgev2.LoginStepTypeUserInput,
		StepID:          "test.name",
		Instructions:    "Say a name",
		UserInputParams: &bridgev2.LoginUserInputParams{Fields: []bridgev2.LoginInputDataField{field}},
	}, nil
}

func (l *Login) SubmitUserInput(ctx context.Context, input map[string]string) (*bridgev2.LoginStep, error) {
	id := networkid.UserLoginID(strings.ToLower(input["name"]))
	login, err := l.user.NewLogin(ctx, &database.UserLogin{ID: id, RemoteName: input["name"]}, nil)
	if err != nil {
		return nil, err
	}
	go login.Client.Connect(context.Background())
	return &bridgev2.LoginStep{
		Type:           bridgev2.LoginStepTypeComplete,
		StepID:         "test.done",
		Instructions:   "Logged in as " + input["name"],
		CompleteParams: &bridgev2.LoginCompleteParams{UserLoginID: id, UserLogin: login},
	}, nil
}

// Client is somebody's login.
type Client struct{ login *bridgev2.UserLogin }

func (c *Client) key() networkid.PortalKey {
	return networkid.PortalKey{ID: "echo", Receiver: c.login.ID}
}

func (c *Client) me() networkid.UserID { return networkid.UserID(c.login.ID) }

func (c *Client) Connect(ctx context.Context) {
	info, _ := c.GetChatInfo(ctx, nil)
	c.login.Bridge.QueueRemoteEvent(c.login, &simplevent.ChatResync{
		EventMeta: simplevent.EventMeta{
			Type: bridgev2.RemoteEventChatResync, PortalKey: c.key(), CreatePortal: true,
		},
		ChatInfo: info,
	})
}

func (c *Client) Disconnect()                  {}
func (c *Client) IsLoggedIn() bool             { return true }
func (c *Client) LogoutRemote(context.Context) {}
func (c *Client) IsThisUser(_ context.Context, user networkid.UserID) bool {
	return user == c.me()
}

func (c *Client) GetChatInfo(context.Context, *bridgev2.Portal) (*bridgev2.ChatInfo, error) {
	kind := database.RoomTypeDM
	return &bridgev2.ChatInfo{
		Type: &kind,
		Members: &bridgev2.ChatMemberList{
			IsFull: true,
			MemberMap: bridgev2.ChatMemberMap{
				c.me(): {EventSender: bridgev2.EventSender{IsFromMe: true, Sender: c.me(), SenderLogin: c.login.ID}},
				echo:   {EventSender: bridgev2.EventSender{Sender: echo}},
			},
		},
	}, nil
}

func (c *Client) GetUserInfo(_ context.Context, ghost *bridgev2.Ghost) (*bridgev2.UserInfo, error) {
	name := "Somebody called " + string(ghost.ID)
	return &bridgev2.UserInfo{Name: &name}, nil
}

func (c *Client) GetCapabilities(context.Context, *bridgev2.Portal) *event.RoomFeatures {
	return &event.RoomFeatures{ID: "test.echo"}
}

// heard is a message on the network, by its other side or, as from their phone, by the person.
func (c *Client) heard(from bridgev2.EventSender, text string) {
	c.login.Bridge.QueueRemoteEvent(c.login, &simplevent.Message[string]{
		EventMeta: simplevent.EventMeta{
			Type: bridgev2.RemoteEventMessage, PortalKey: c.key(), Sender: from, Timestamp: time.Now(),
		},
		Data: text,
		ID:   networkid.MessageID(text + time.Now().String()),
		ConvertMessageFunc: func(_ context.Context, _ *bridgev2.Portal, _ bridgev2.MatrixAPI, text string) (*bridgev2.ConvertedMessage, error) {
			content := &event.MessageEventContent{MsgType: event.MsgText, Body: text}
			return &bridgev2.ConvertedMessage{
				Parts: []*bridgev2.ConvertedMessagePart{{Type: event.EventMessage, Content: content}},
			}, nil
		},
	})
}

func (c *Client) HandleMatrixMessage(_ context.Context, msg *bridgev2.MatrixMessage) (*bridgev2.MatrixMessageResponse, error) {
	text := msg.Content.Body
	if phone, ok := strings.CutPrefix(text, "phone: "); ok {
		go c.heard(bridgev2.EventSender{IsFromMe: true, Sender: c.me(), SenderLogin: c.login.ID}, phone)
	} else {
		go c.heard(bridgev2.EventSender{Sender: echo}, "you said: "+text)
	}
	return &bridgev2.MatrixMessageResponse{
		DB: &database.Message{ID: networkid.MessageID(msg.Event.ID), SenderID: c.me(), Timestamp: time.Now()},
	}, nil
}

func main() {
	bridge := mxmain.BridgeMain{Name: "lab-" + Network, Description: "A bridge of tests", Version: "0.1.0", Connector: &Connector{}}
	bridge.InitVersion("unknown", "unknown", "unknown")
	bridge.Run()
}
