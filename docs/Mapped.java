// Maps a file, fills it, and unmaps it: what `rmap trace java docs/Mapped.java` follows.
//
//     rmap trace java docs/Mapped.java [SIZE [FILE]]
//
// SIZE is 1G by default and less than 2G. FILE is created and removed; the default is a file in /var/tmp.

import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

public class Mapped {
    public static void main(String[] arguments) throws Exception {
        int size = Math.toIntExact(bytes(arguments.length > 0 ? arguments[0] : "1G"));
        Path path = Path.of(arguments.length > 1 ? arguments[1] : "/var/tmp/Mapped-" + ProcessHandle.current().pid());
        try {
            MappedByteBuffer buffer = map(path, size);
            System.out.println("mapped " + path + ": " + size + " bytes");
            fill(buffer);
            System.out.println("filled");
            unmap(buffer);
            System.out.println("unmapped");
        } finally {
            Files.deleteIfExists(path);
        }
    }

    // The mapping stays when the file is closed.
    static MappedByteBuffer map(Path path, int size) throws Exception {
        try (FileChannel file = FileChannel.open(path,
                StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            return file.map(FileChannel.MapMode.READ_WRITE, 0, size);
        }
    }

    static void fill(MappedByteBuffer buffer) {
        while (buffer.remaining() >= Long.BYTES) {
            buffer.putLong(buffer.position());
        }
        while (buffer.hasRemaining()) {
            buffer.put((byte) 1);
        }
    }

    // A mapping stays until the garbage collector finds its buffer, unless its cleaner is called. No access may follow.
    static void unmap(MappedByteBuffer buffer) throws Exception {
        Class<?> unsafe = Class.forName("sun.misc.Unsafe");
        Field instance = unsafe.getDeclaredField("theUnsafe");
        instance.setAccessible(true);
        unsafe.getMethod("invokeCleaner", ByteBuffer.class).invoke(instance.get(null), buffer);
    }

    // 4096, 64K, 16M or 1G.
    static long bytes(String size) {
        int unit = "KMG".indexOf(size.charAt(size.length() - 1));
        String number = unit < 0 ? size : size.substring(0, size.length() - 1);
        return Long.parseLong(number) << 10 * (unit + 1);
    }
}
