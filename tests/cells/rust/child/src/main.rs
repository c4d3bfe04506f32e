//! The child: its bootstrap capability is a bare Host. It takes the Host's Executor and makes two
//! echo calls, one after the other.

use cell_runtime::peer_capnp::{executor, host};
use std::process::ExitCode;

fn main() -> ExitCode {
    cell_runtime::run("rust-child", child)
}

async fn child(host: host::Client) -> Result<ExitCode, capnp::Error> {
    let executor = host.executor_request().send().promise.await?.get()?.get_executor()?;
    for message in ["hello", "hello again"] {
        let answer = echo(&executor, message).await?;
        println!("rust-child: {answer}");
        if answer != format!("Echo: {message}") {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn echo(executor: &executor::Client, message: &str) -> Result<String, capnp::Error> {
    let mut request = executor.echo_request();
    request.get().set_message(message);
    Ok(request.send().promise.await?.get()?.get_response()?.to_string()?)
}
