//! From settings to a relay; all that can be wrong before the network is asked is found here.

use super::Relay;
use super::auth::Credentials;
use super::handshake::Server;
use super::maildir::MaildirRelay;
use super::session::ServerRelay;
use super::settings::{OpenError, RelaySettings, is_helo_name};
use super::tls::Tls;
use super::url::{RelayAddress, ServerAddress, TlsPolicy};
use std::cell::Cell;
use std::rc::Rc;

/// Makes a relay; connects to nothing yet.
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
    if !is_helo_name(&settings.helo_name) {
        return Err(OpenError::HeloName(settings.helo_name));
    }
    let tls = match address.tls {
        TlsPolicy::None => None,
        _ => Some(Tls::new(&address.host, settings.ca_file.as_deref())?),
    };
    Ok(ServerRelay {
        name: address.host_and_port(),
        pipelining: settings.pipelining,
        most_messages: settings.max_messages_per_connection,
        distrusted_at: Cell::new(None),
        server: Server {
            address,
            tls,
            credentials,
            token: settings.token,
            mechanism: settings.auth,
            helo_name: settings.helo_name,
            deadlines: settings.deadlines,
        },
    })
}
