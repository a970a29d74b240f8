//! What the machine takes merely to move the bytes: a TCP proxy that knows no HTTP, one thread and
//! a buffer of 128 KiB a direction. Nobody who receives and sends them is below it.

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};

const BUFFER_BYTES: usize = 128 << 10;

/// Relays from `port` to the receiver at `to`; never returns.
pub(crate) fn run(port: u16, to: u16) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
        loop {
            let (mut client, _) = listener.accept().await.expect("a connection");
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", to)).await?;
                client.set_nodelay(true)?;
                server.set_nodelay(true)?;
                let (up, down) = (BUFFER_BYTES, BUFFER_BYTES);
                copy_bidirectional_with_sizes(&mut client, &mut server, up, down).await
            });
        }
    });
}
