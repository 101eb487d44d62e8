//! Strips of blocks: how full each part of something long is.

/// The height of a block for a share in 0 to 1: lowest for nothing at all, full for everything, and six steps between.
///
/// Nothing and everything are exact, so that a reader can trust the two ends.
pub fn block(share: f64) -> char {
    const STEPS: [char; 6] = ['▂', '▃', '▄', '▅', '▆', '▇'];
    if share <= 0.0 {
        return '▁';
    }
    if share >= 1.0 {
        return '█';
    }
    let step = (share * STEPS.len() as f64) as usize;
    STEPS.get(step).copied().unwrap_or('▇')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_and_everything_are_exact() {
        assert_eq!(block(0.0), '▁');
        assert_eq!(block(1e-12), '▂');
        assert_eq!(block(1.0 - 1e-12), '▇');
        assert_eq!(block(1.0), '█');
    }
}
