//! `rmap pid --by class`: what made the memory of a process. The rules are compared with what the programs themselves
//! report: the stack pointers of threads, a JVM's own account, V8's statistics.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Subject, has, rmap};
use serde_json::Value;

/// The size and Rss of each class, in bytes.
fn classes_of(arguments: &[&str]) -> BTreeMap<String, (u64, u64)> {
    let document = rmap([&["pid", "--json", "--by", "class", "-o", "size,rss"], arguments].concat()).good().json();
    let groups = document[0]["groups"].as_array().unwrap();
    let figure = |group: &Value, key: &str| group[key].as_u64().unwrap();
    groups
        .iter()
        .map(|group| (group["class"].as_str().unwrap().to_owned(), (figure(group, "size"), figure(group, "rss"))))
        .collect()
}

/// The classes of a smaps text in `tests/classes`: mappings without a name, and those that rules look for.
fn classes_of_file(name: &str) -> BTreeMap<String, (u64, u64)> {
    classes_of(&["--smaps", &format!("{}/tests/classes/{name}", env!("CARGO_MANIFEST_DIR"))])
}

#[test]
fn the_page_has_every_rule_in_order() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/classes.md")).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let rules = rmap::process::class::RULES.iter();
    let expected: Vec<String> = rules.map(|rule| format!("| `{}` | {} |", rule.class, rule.when)).collect();
    assert_eq!(rows, expected, "docs/classes.md must have these rows:\n{}\n", expected.join("\n"));
}

#[test]
fn every_mapping_has_one_class_so_that_they_add_up() {
    let subject = Subject::start(["anonymous:64:40", "locked:6", "guard:4", "memfd:10:7"]);
    subject.stop();
    let sum = |by: &str| {
        let document = rmap(["pid", &subject.word(), "--json", "--by", by, "-o", "mappings,size,rss"]).good().json();
        let groups = document[0]["groups"].as_array().unwrap().clone();
        let add = |key: &str| groups.iter().map(|group| group[key].as_u64().unwrap()).sum::<u64>();
        (add("mappings"), add("size"), add("rss"))
    };
    assert_eq!(sum("class"), sum("kind"));
    let document = rmap(["pid", &subject.word(), "--json"]).good().json();
    let rows = document[0]["mappings"].as_array().unwrap();
    let of = |made: usize| rows.iter().find(|row| row["start"] == subject.made[made].start.as_str()).unwrap();
    assert_eq!((&of(0)["class"], &of(3)["class"]), (&"anonymous".into(), &"memfd".into()));
}

const THREADS: &str = r#"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static pthread_barrier_t all;
static void *run(void *unused) {
    char used[100000];
    memset(used, 1, sizeof used);
    for (int count = 0; count < 40; count++) memset(malloc(50000), used[count], 50000);
    pthread_barrier_wait(&all);
    pause();
    return unused;
}
int main(int count, char **words) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (count > 1) pthread_attr_setstacksize(&attributes, atol(words[1]));
    pthread_barrier_init(&all, 0, 6);
    for (int made = 0; made < 5; made++) {
        pthread_t thread;
        pthread_create(&thread, &attributes, run, 0);
    }
    memset(malloc(100000), 1, 100000);
    memset(malloc(10 << 20), 1, 10 << 20);
    pthread_barrier_wait(&all);
    puts("ready");
    fflush(stdout);
    getchar();
}
"#;

#[test]
fn threads_of_a_c_program_have_stacks_and_arenas() {
    if !has("gcc", "gcc") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (source, program) = (folder.path().join("threads.c"), folder.path().join("threads"));
    fs::write(&source, THREADS).unwrap();
    assert!(Command::new("gcc").arg("-o").args([&program, &source]).arg("-pthread").status().unwrap().success());
    for stack in ["8388608", "262144", "1200128"] {
        let mut command = Command::new(&program);
        // Each thread then has an arena of its own.
        command.arg(stack).env("MALLOC_ARENA_MAX", "64");
        let subject = Subject::until_ready(command);
        let document = rmap(["pid", &subject.word(), "--json", "-o", "start,end,class,rss,size"]).good().json();
        let rows = document[0]["mappings"].as_array().unwrap();
        let address = |row: &Value, key: &str| u64::from_str_radix(row[key].as_str().unwrap(), 16).unwrap();
        let class_at = |at: u64| {
            let row = rows.iter().find(|row| (address(row, "start")..address(row, "end")).contains(&at)).unwrap();
            row["class"].as_str().unwrap().to_owned()
        };
        let mut found = Vec::new();
        for task in fs::read_dir(format!("/proc/{}/task", subject.pid())).unwrap() {
            let file = task.unwrap().path().join("syscall");
            if fs::read(&file).is_err() {
                return eprintln!("SKIPPED: the stack pointers of other processes cannot be read here");
            }
            // The number of the system call, six arguments, the stack pointer; it is "running" until the thread waits.
            let mut pointer = None;
            common::wait_until("the thread waits", || {
                let call = fs::read_to_string(&file).unwrap();
                pointer = call.split_whitespace().nth(7).map(|word| word.trim_start_matches("0x").to_owned());
                pointer.is_some()
            });
            found.push(class_at(u64::from_str_radix(&pointer.unwrap(), 16).unwrap()));
        }
        found.sort();
        assert_eq!(found, [&["stack"][..], &["thread-stack"; 5]].concat());
        let with = |class: &str| rows.iter().filter(|row| row["class"] == class).collect::<Vec<_>>();
        assert_eq!((with("thread-stack").len(), with("malloc-arena").len()), (5, 5), "stacks of {stack} bytes");
        // Each thread has written 40 times 50,000 bytes.
        for arena in with("malloc-arena") {
            assert!((2_000_000..2_300_000).contains(&arena["rss"].as_u64().unwrap()), "{arena}");
        }
        // A large piece of malloc's could be anyone's.
        let anonymous: u64 = with("anonymous").iter().map(|row| row["rss"].as_u64().unwrap()).sum();
        assert!((10 << 20..11 << 20).contains(&anonymous), "{anonymous}");
    }
}

/// Captured with OpenJDK 17.0.21 and Temurin 25, `-Xms64m -Xmx256m`: the sums are those of `VM.native_memory`.
#[test]
fn captured_jvms_have_the_sums_that_they_reported() {
    for (name, heap, classes, metaspace, shared) in [
        ("openjdk-17-g1.txt", 81920, 1216, 8128, 12076),
        // The heap of 81920 KiB is mapped three times, and counts as often.
        ("openjdk-17-zgc.txt", 3 * 81920, 1216, 8128, 11916),
        // Of 13908 KiB of class data the JVM has made 4 KiB inaccessible.
        ("openjdk-25-g1.txt", 80896, 1216, 8448, 13904),
    ] {
        let found = classes_of_file(name);
        let kib = |class: &str| found[class].0 >> 10;
        let sums = (kib("java-heap"), kib("java-class-space"), kib("java-metaspace"), kib("java-cds"));
        assert_eq!(sums, (heap, classes, metaspace, shared), "{name}");
        // Three segments of code; compiled code begins with 2496 KiB in each.
        assert_eq!(kib("java-code"), 3 * 2496, "{name}");
    }
}

/// Captured with Node.js 20: six threads besides the first, which all have stacks, and four with an arena.
#[test]
fn a_captured_node_has_a_heap_of_v8() {
    let found = classes_of_file("node-20.txt");
    assert_eq!(found["v8-heap"].0, 18944 << 10);
    assert_eq!(found["v8-code"].0, 240 << 10);
    assert_eq!(found["thread-stack"].0, (5 * 8192 + 32) << 10);
    assert!(found["anonymous"].1 < 1 << 20, "{found:?}");
}

/// What a running JVM says about itself, in KiB: reserved and committed.
fn committed(account: &str, part: &str) -> u64 {
    let line =
        account.lines().skip_while(|line| !line.contains(&format!(" {part} ("))).find(|line| line.contains("mmap:"));
    let number = line.unwrap().split("committed=").nth(1).unwrap();
    number.split("KB").next().unwrap().parse().unwrap()
}

#[test]
fn a_live_jvm_agrees() {
    if !has("java", "openjdk-17-jdk-headless") || !has("jcmd", "openjdk-17-jdk-headless") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("Wait.java");
    let program = "public class Wait { public static void main(String[] words) throws Exception {\n\
                   System.out.println(\"ready\"); System.in.read(); } }\n";
    fs::write(&source, program).unwrap();
    for collector in ["-XX:+UseSerialGC", "-XX:+UseG1GC", "-XX:+UseParallelGC"] {
        let mut command = Command::new("java");
        command.args([collector, "-XX:NativeMemoryTracking=summary", "-Xms96m", "-Xmx96m"]).arg(&source);
        command.env_remove("JAVA_TOOL_OPTIONS");
        let subject = Subject::until_ready(command);
        let found = classes_of(&[&subject.word()]);
        let answer = Command::new("jcmd").args([&subject.word(), "VM.native_memory", "summary"]).output().unwrap();
        let account = String::from_utf8(answer.stdout).unwrap();
        if !account.contains("Java Heap") {
            return eprintln!("SKIPPED: jcmd does not reach the JVM: {account}");
        }
        assert_eq!(found["java-heap"].0 >> 10, committed(&account, "Java Heap"), "{collector}: {found:?}");
        assert_eq!(found["java-heap"].0, 96 << 20);
        // jcmd itself loads some classes.
        for (class, part) in [("java-class-space", "Class"), ("java-metaspace", "Metaspace")] {
            let (seen, said) = (found[class].0 >> 10, committed(&account, part));
            assert!(seen <= said && said - seen <= 1024, "{collector}: {class} {seen} {said}");
        }
    }
}

#[test]
fn a_live_node_agrees() {
    if !has("node", "nodejs") {
        return;
    }
    let script = "const kept = []; for (let i = 0; i < 200000; i++) kept.push({ i });\n\
                  setTimeout(() => { console.error(process.memoryUsage().heapTotal); console.log('ready'); }, 200);\n\
                  process.stdin.on('data', () => kept.length).resume();";
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("said");
    let mut command = Command::new("node");
    command.args(["-e", script]).stderr(fs::File::create(&said).unwrap());
    let subject = Subject::until_ready(command);
    let total: u64 = fs::read_to_string(&said).unwrap().trim().parse().unwrap();
    let heap = classes_of(&[&subject.word()])["v8-heap"].0;
    assert!(heap.abs_diff(total) < total / 5, "node says {total}, rmap {heap}");
}

/// A configuration file, and a smaps text with memory that has a name.
fn configured(text: &str) -> (tempfile::TempDir, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let (config, smaps) = (folder.path().join("config.toml"), folder.path().join("smaps"));
    fs::write(&config, text).unwrap();
    let mappings = [
        common::mapping(0x7f00_0000_0000, 4, "rw-p", b"[anon:pool_7]", 8),
        common::mapping(0x7f00_1000_0000, 4, "rw-p", b"", 4),
    ];
    // Memory without a file has neither device nor inode.
    let text = String::from_utf8(mappings.concat()).unwrap().replace("fe:00 77", "00:00 0");
    fs::write(&smaps, text).unwrap();
    (folder, config.display().to_string(), smaps.display().to_string())
}

#[test]
fn the_configuration_file_adds_classes_to_tables() {
    let (_folder, config, smaps) = configured("[classes]\npool = 'pool_\\d+'\nall = '.*'\n");
    let table = |more: &[&str]| {
        let text = rmap([&["pid", "--smaps", &smaps, "--config", &config, "-n", "--no-total"], more].concat()).good();
        text.text().lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(table(&["--by", "class", "-o", "rss"]), ["8 pool", "4 anonymous"]);
    assert_eq!(table(&["--filter", "class == pool", "-o", "rss"]), ["8"]);
    // The same as for everything in the file: programs get the same answer, whoever runs them.
    let json = rmap(["pid", "--smaps", &smaps, "--config", &config, "--json", "-o", "class"]).good().json();
    assert_eq!(json[0]["mappings"][0]["class"], "named");
}

#[test]
fn an_invalid_expression_is_one_line() {
    let (_folder, config, smaps) = configured("[classes]\npool = '(a'\n");
    let run = rmap(["pid", "--smaps", &smaps, "--config", &config]);
    assert_eq!((run.status, run.complaints().len(), run.out.len()), (Some(2), 1, 0), "{run:?}");
    assert!(
        run.err.contains("config.toml:2: class 'pool' has an invalid regular expression: unclosed group"),
        "{run:?}"
    );
}

#[test]
fn a_filter_for_a_class_that_does_not_exist_is_refused() {
    let run = rmap(["pid", "self", "--filter", "class == malloc-arenas"]);
    assert_eq!((run.status, run.complaints().len()), (Some(2), 1), "{run:?}");
    assert!(run.err.contains("malloc-arena"), "{run:?}");
}
