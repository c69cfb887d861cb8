//! A client that follows the requests of others.

use super::frames::{End, Reader, Writer};
use crate::remote::{Report, Said};
use crate::server::Shared;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

/// Serves a watcher; returns why that ended.
pub async fn serve(
    writer: &mut Writer,
    reader: &mut Reader,
    shared: &Shared,
    stopped: &mut watch::Receiver<bool>,
) -> End {
    let quiet = async {
        match reader.next().await {
            Ok(_) => "watching is read-only".to_owned(),
            Err(end) => end,
        }
    };
    tokio::select! {
        end = quiet => end,
        end = write(writer, shared) => end,
        _ = stopped.wait_for(|stopped| *stopped) => "the server is ending".into(),
    }
}

async fn write(writer: &mut Writer, shared: &Shared) -> End {
    let Some((active, mut reports)) = shared.watch.subscribe() else {
        return "this server was started with --no-watch".into();
    };
    for (request, watched) in active {
        let said = Said::Begun(watched);
        if let Err(end) = writer.put(&Report::Watched { request, said }).await {
            return end;
        }
    }
    loop {
        let sent = match writer.flush().await {
            Ok(()) => tokio::select! {
                report = reports.recv() => match report {
                    Ok(report) => writer.put(&*report).await,
                    Err(RecvError::Lagged(count)) => writer.put(&Report::Missed(count)).await,
                    Err(RecvError::Closed) => return End::new(),
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
