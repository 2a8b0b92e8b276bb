//! Makes a relay from its settings. Everything that can be wrong without asking the network is reported here.

use super::auth::Credentials;
use super::handshake::{Security, Server};
use super::helo;
use super::maildir::MaildirRelay;
use super::relay::Relay;
use super::server::ServerRelay;
use super::settings::{OpenError, RelaySettings};
use super::tls::Tls;
use super::url::{RelayAddress, ServerAddress, TlsPolicy};
use std::path::Path;
use std::rc::Rc;

/// Does not connect yet.
pub fn open(settings: RelaySettings) -> Result<Rc<dyn Relay>, OpenError> {
    match settings.address.clone() {
        RelayAddress::Maildir(path) => Ok(Rc::new(MaildirRelay::open(path)?)),
        RelayAddress::Server(address) => Ok(Rc::new(server_relay(address, settings)?)),
    }
}

fn server_relay(address: ServerAddress, settings: RelaySettings) -> Result<ServerRelay, OpenError> {
    let user = settings.user.or_else(|| address.user.clone());
    let credentials = match (user, settings.password) {
        (None, None) => None,
        (Some(user), Some(password)) => Some(Credentials { user, password }),
        (Some(user), None) => return Err(OpenError::NoPassword { user }),
        (None, Some(_)) => return Err(OpenError::NoUser),
    };
    let helo_name = settings.helo_name.or_else(helo::of_host);
    if let Some(name) = helo_name.as_ref().filter(|name| !helo::is_valid(name)) {
        return Err(OpenError::HeloName(name.clone()));
    }
    let server = Server {
        security: security(&address, settings.ca_file.as_deref())?,
        allows_plain_text_login: allows_plain_text_login(&address),
        host: address.host.clone(),
        port: address.port,
        credentials,
        token: settings.token,
        mechanism: settings.auth,
        ehlo_name: helo_name,
        timeouts: settings.timeouts,
    };
    Ok(ServerRelay::new(
        address.host_and_port(),
        server,
        settings.pipelining,
        settings.max_messages_per_connection,
    ))
}

fn security(address: &ServerAddress, ca_file: Option<&Path>) -> Result<Security, OpenError> {
    let tls = || Tls::new(&address.host, ca_file);
    Ok(match address.tls {
        TlsPolicy::None => Security::Plain,
        TlsPolicy::Opportunistic => Security::Opportunistic(tls()?),
        TlsPolicy::Required => Security::Required(tls()?),
        TlsPolicy::Implicit => Security::Implicit(tls()?),
    })
}

/// Only where the password stays on this machine, or where the user asked for plain text.
fn allows_plain_text_login(address: &ServerAddress) -> bool {
    address.is_loopback() || address.tls == TlsPolicy::None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_a_plain_text_login_only_on_this_machine_or_on_request() {
        let table = [
            ("smtp://mx.example.com", false),
            ("smtp://mx.example.com?tls=opportunistic", false),
            ("smtp://127.0.0.1.example.com?tls=opportunistic", false),
            ("smtp://mx.example.com?tls=none", true),
            ("smtp://localhost:25", true),
            ("smtp://[::1]:25?tls=opportunistic", true),
        ];
        for (url, expected) in table {
            let Ok(RelayAddress::Server(address)) = url.parse() else {
                panic!("{url}");
            };
            assert_eq!(allows_plain_text_login(&address), expected, "{url}");
        }
    }
}
