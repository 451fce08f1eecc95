//! The script of docs/guide/checkpoints.md does what the page says.

use crate::models::weights::{good, run};
use crate::support::process::{lathe, ok};
use crate::support::root;

#[test]
fn the_script_of_the_guide_runs() {
    let page = std::fs::read_to_string(root().join("docs/guide/checkpoints.md")).unwrap();
    let script = page.split("```rhai\n").nth(1).and_then(|s| s.split("```").next()).expect("the page has a script");
    assert!(script.lines().count() <= 30, "{} lines", script.lines().count());
    let dir = tempfile::tempdir().unwrap();
    // What REPA-E saves, small: untrained networks, so the reconstruction is grey, but it goes the whole way.
    good(
        dir.path(),
        r#"
        let config = #{ch: 32, ch_mult: [1, 1, 2], num_res_blocks: 1, z_channels: 4};
        let vae = models::vae(config);
        let sit = models::sit(sit_config);
        let disc = models::discriminator(disc_config);
        io::save(`${dir}/repae.pt`, #{
            model: sit.state(), ema: sit.state(), vae: vae.state(), discriminator: disc.state(),
            opt: #{param_groups: [#{lr: 0.0001}]}, args: #{vae: "f16d32"}, steps: 400_000,
        });
        viz::save_png(`${dir}/cat.png`, torch::rand([3, 40, 56]), #{range: [0, 1]});
    "#,
    );
    std::fs::write(dir.path().join("reconstruct.rhai"), script).unwrap();
    let flags = ["--checkpoint", "repae.pt", "--vae", "f8d4", "--picture", "cat.png"];
    std::fs::write(dir.path().join("small.toml"), "[vae_config]\nch = 32\nch_mult = [1, 1, 2]\nnum_res_blocks = 1\nz_channels = 4\n").unwrap();
    let mut command = lathe(dir.path(), &["run", "reconstruct.rhai", "--device", "cpu", "--config", "small.toml"]);
    let text = ok(command.args(flags));
    assert!(text.contains("PSNR"), "{text}");
    // The original and its reconstruction side by side.
    run(dir.path(), "let x = io::load(`${dir}/reconstruction.png`); assert(x.shape[2] >= 2 * 48 && x.shape[1] >= 32, `${x.shape}`);").unwrap();
}
