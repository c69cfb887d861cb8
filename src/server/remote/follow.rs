//! A client that follows the requests of other clients.

use super::frames::{End, Reader, Writer};
use crate::engine::worker::{Event, ModelEvent};
use crate::remote::{Report, Said};
use crate::server::Shared;
use crate::server::watch::Next;
use tokio::sync::watch;

/// Serves a watcher until the connection ends, and returns why it did.
pub async fn serve(
    writer: &mut Writer,
    reader: &mut Reader,
    shared: &Shared,
    stopped: &mut watch::Receiver<bool>,
) -> End {
    let reads = async {
        match reader.next().await {
            Ok(_) => "watching is read-only".to_owned(),
            Err(end) => end,
        }
    };
    tokio::select! {
        end = reads => end,
        end = write(writer, shared) => end,
        _ = stopped.wait_for(|stopped| *stopped) => "the server is ending".into(),
    }
}

async fn write(writer: &mut Writer, shared: &Shared) -> End {
    let Some((open, mut watcher)) = shared.watch.subscribe() else {
        return "this server was started with --no-watch".into();
    };
    // Watchers see what is served before the first request.
    let loaded = Report::Event(Event::Model(ModelEvent::Loaded {
        info: Box::new(shared.info.clone()),
        fingerprint: None,
    }));
    let begun = open.into_iter().map(|(request, watched)| {
        let said = Said::Begun(watched);
        Report::Watched { request, said }
    });
    for report in std::iter::once(loaded).chain(begun) {
        if let Err(end) = writer.put(&report).await {
            return end;
        }
    }
    loop {
        let sent = match writer.flush().await {
            Ok(()) => tokio::select! {
                next = watcher.next() => match next {
                    Next::Frame(frame) => writer.put_frame(frame).await,
                    Next::Missed { reports, open } => {
                        writer.put(&Report::Missed { reports, open }).await
                    }
                },
                () = writer.ping_is_due() => writer.ping().await,
            },
            broken => broken,
        };
        if let Err(end) = sent {
            return end;
        }
    }
}
