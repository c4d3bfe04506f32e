//! `ww-swarm-bench serve`, and `ww-swarm-bench run ADDR`: see ww_swarm::bench.

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["serve"] => ww_swarm::bench::serve(),
        ["run", address] => ww_swarm::bench::run(address),
        _ => Err("usage: ww-swarm-bench serve | run ADDR".into()),
    };
    if let Err(error) = outcome {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
