// A mautrix bridge of the older make, as upstream's bridge to Discord is one, to a network that is none: upstream's own
// framework (its config, database, encryption, commands, permissions and double puppets), with three commands of ours.
package main

import (
	_ "embed"
	"os"
	"path/filepath"
	"strings"

	"go.mau.fi/util/configupgrade"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/appservice"
	"maunium.net/go/mautrix/bridge"
	"maunium.net/go/mautrix/bridge/bridgeconfig"
	"maunium.net/go/mautrix/bridge/commands"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// What it is called is the network that it leads to.
var network = filepath.Base(os.Args[0])

//go:embed base.yaml
var base string

// Settings are the part of the config that is a network's own, in the form that upstream's bridge to Discord has.
type Settings struct {
	UsernameTemplate string                           `yaml:"username_template"`
	Doubles          bridgeconfig.DoublePuppetConfig  `yaml:",inline"`
	Prefix           string                           `yaml:"command_prefix"`
	Texts            bridgeconfig.ManagementRoomTexts `yaml:"management_room_text"`
	Encryption       bridgeconfig.EncryptionConfig    `yaml:"encryption"`
	Permissions      bridgeconfig.PermissionConfig    `yaml:"permissions"`
}

func (s *Settings) FormatUsername(name string) string {
	return strings.ReplaceAll(s.UsernameTemplate, "{{.}}", name)
}
func (s *Settings) GetEncryptionConfig() bridgeconfig.EncryptionConfig       { return s.Encryption }
func (s *Settings) GetCommandPrefix() string                                 { return s.Prefix }
func (s *Settings) GetManagementRoomTexts() bridgeconfig.ManagementRoomTexts { return s.Texts }
func (s *Settings) GetDoublePuppetConfig() bridgeconfig.DoublePuppetConfig   { return s.Doubles }
func (s *Settings) GetResendBridgeInfo() bool                                { return false }
func (s *Settings) EnableMessageStatusEvents() bool                          { return false }
func (s *Settings) EnableMessageErrorNotices() bool                          { return true }
func (s *Settings) Validate() error                                          { return nil }

type config struct {
	*bridgeconfig.BaseConfig `yaml:",inline"`
	Bridge                   Settings `yaml:"bridge"`
}

func upgrade(helper *configupgrade.Helper) {
	bridgeconfig.Upgrader.DoUpgrade(helper)
	for _, key := range []string{"username_template", "command_prefix"} {
		helper.Copy(configupgrade.Str, "bridge", key)
	}
	for _, key := range []string{"double_puppet_server_map", "login_shared_secret_map", "permissions"} {
		helper.Copy(configupgrade.Map, "bridge", key)
	}
	helper.Copy(configupgrade.Bool, "bridge", "double_puppet_allow_discovery")
	for _, key := range []string{"allow", "default", "require", "appservice", "msc4190"} {
		helper.Copy(configupgrade.Bool, "bridge", "encryption", key)
	}
}

// Lab is the bridge.
type Lab struct {
	bridge.Bridge
	settings *config
}

func (b *Lab) GetExampleConfig() string { return base }

func (b *Lab) GetConfigPtr() interface{} {
	b.settings = &config{BaseConfig: &b.Bridge.Config}
	b.settings.BaseConfig.Bridge = &b.settings.Bridge
	return b.settings
}

func (b *Lab) Init() {
	b.DB.UpgradeTable.Register(-1, 1, 0, "People", true, func(tx dbutil.Execable, _ *dbutil.Database) error {
		// The framework asks for the second one; here nothing is in it.
		_, err := tx.Exec("CREATE TABLE person (mxid TEXT PRIMARY KEY, room TEXT NOT NULL, name TEXT NOT NULL)")
		if err == nil {
			_, err = tx.Exec("CREATE TABLE portal (mxid TEXT PRIMARY KEY, encrypted BOOLEAN NOT NULL)")
		}
		return err
	})
	found := commands.NewProcessor(&b.Bridge)
	found.AddHandlers(
		&commands.FullHandler{Name: "login", Func: login},
		&commands.FullHandler{Name: "ping", Func: ping},
		&commands.FullHandler{Name: "phone", Func: phone},
	)
	b.CommandProcessor = found
}

func (b *Lab) Start()                                                   {}
func (b *Lab) Stop()                                                    {}
func (b *Lab) GetIPortal(id.RoomID) bridge.Portal                       { return nil }
func (b *Lab) GetAllIPortals() []bridge.Portal                          { return nil }
func (b *Lab) GetIUser(who id.UserID, _ bool) bridge.User               { return &person{b, who} }
func (b *Lab) GetIGhost(id.UserID) bridge.Ghost                         { return nil }
func (b *Lab) CreatePrivatePortal(id.RoomID, bridge.User, bridge.Ghost) {}
func (b *Lab) IsGhost(who id.UserID) bool {
	return strings.HasPrefix(string(who), "@"+b.settings.Bridge.FormatUsername(""))
}

// person is somebody who writes to it; what is known of them is in its database.
type person struct {
	*Lab
	who id.UserID
}

func (p *person) known(column string) (value string) {
	_ = p.DB.QueryRow("SELECT "+column+" FROM person WHERE mxid=$1", p.who).Scan(&value)
	return value
}

func (p *person) learn(column, value string) {
	_, _ = p.DB.Exec("INSERT INTO person VALUES ($1, '', '') ON CONFLICT DO NOTHING", p.who)
	_, _ = p.DB.Exec("UPDATE person SET "+column+"=$1 WHERE mxid=$2", value, p.who)
}

func (p *person) GetPermissionLevel() bridgeconfig.PermissionLevel {
	return p.settings.Bridge.Permissions.Get(p.who)
}
func (p *person) IsLoggedIn() bool                      { return p.known("name") != "" }
func (p *person) GetManagementRoomID() id.RoomID        { return id.RoomID(p.known("room")) }
func (p *person) SetManagementRoom(room id.RoomID)      { p.learn("room", string(room)) }
func (p *person) GetMXID() id.UserID                    { return p.who }
func (p *person) GetIDoublePuppet() bridge.DoublePuppet { return nil }
func (p *person) GetIGhost() bridge.Ghost               { return nil }

// say writes into a room, encrypted where the room is.
func (b *Lab) say(as *appservice.IntentAPI, room id.RoomID, text string) error {
	kind, content := event.EventMessage, event.Content{Parsed: &event.MessageEventContent{MsgType: event.MsgText, Body: text}}
	// What a room had before the bot came nobody tells it.
	var how event.EncryptionEventContent
	if b.Bot.StateEvent(room, event.StateEncryption, "", &how) == nil && how.Algorithm != "" {
		b.StateStore.SetEncryptionEvent(room, &how)
		if err := b.Crypto.Encrypt(room, kind, &content); err != nil {
			return err
		}
		kind = event.EventEncrypted
	}
	_, err := as.SendMessageEvent(room, kind, &content)
	return err
}

func login(ce *commands.Event) {
	who := ce.User.(*person)
	who.learn("name", ce.RawArgs)
	ping(ce)
}

func ping(ce *commands.Event) {
	who := ce.User.(*person)
	text := "not logged in"
	if name := who.known("name"); name != "" {
		text = "logged in as " + name
	}
	if err := who.say(ce.Bot, ce.RoomID, text); err != nil {
		ce.Reply("can't write: %v", err)
	}
}

// phone writes as the person, as if they had on their phone.
func phone(ce *commands.Event) {
	who := ce.User.(*person)
	double, _, err := who.DoublePuppet.Setup(who.who, "", true)
	if err == nil {
		err = who.say(double, ce.RoomID, ce.RawArgs)
	}
	if err != nil {
		ce.Reply("can't write as you: %v", err)
	}
}

func main() {
	lab := &Lab{}
	lab.Bridge = bridge.Bridge{
		Name:            "lab-" + network,
		Description:     "A bridge of tests",
		Version:         "0.1.0",
		ProtocolName:    network,
		CryptoPickleKey: "lab",
		ConfigUpgrader: &configupgrade.StructUpgrader{
			SimpleUpgrader: configupgrade.SimpleUpgrader(upgrade),
			Base:           base,
		},
		Child: lab,
	}
	lab.InitVersion("unknown", "unknown", "unknown")
	lab.Main()
}
