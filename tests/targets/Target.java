import java.io.RandomAccessFile;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;

/** Serves as tests/targets/__init__.py says: java Target BEATS|- [spin | talk | THREADS]. */
public class Target {
    static final Object NEVER = new Object();
    static volatile long spun;

    static void stall() {
        synchronized (NEVER) {
            System.err.println("nobody lets go of it");
        }
    }

    static void serve(Socket client) {
        try (Socket open = client) {
            int first = open.getInputStream().read();
            if (first == 's') {
                stall();
            }
            open.getOutputStream().write("ok\n".getBytes());
        } catch (java.io.IOException gone) {
            System.err.println(gone);
        }
    }

    /** How often it came round, and the longest time from one to the next, where others can read it. */
    static void beat(String path) {
        try (RandomAccessFile file = new RandomAccessFile(path, "rw")) {
            MappedByteBuffer page = file.getChannel().map(FileChannel.MapMode.READ_WRITE, 0, 16);
            page.order(ByteOrder.LITTLE_ENDIAN);
            for (long last = System.nanoTime(), now; true; last = now) {
                Thread.sleep(5);
                now = System.nanoTime();
                page.putLong(8, Math.max(page.getLong(8), now - last));
                page.putLong(0, page.getLong(0) + 1);
            }
        } catch (java.io.IOException | InterruptedException end) {
            System.err.println(end);
        }
    }

    /** A counted loop: compiled for the serial collector it has no safepoint inside. */
    static void spin() {
        int sum = 0;
        for (int i = 0; i < Integer.MAX_VALUE; i++) {
            sum += sum * i + (i ^ sum);
        }
        spun += sum;
    }

    static void start(String name, Runnable work) {
        new Thread(null, work, name, 128 * 1024).start();
    }

    public static void main(String[] arguments) throws Exception {
        ServerSocket listening = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        if (!arguments[0].equals("-")) {
            start("beat", () -> beat(arguments[0]));
        }
        synchronized (NEVER) {
            String more = arguments.length > 1 ? arguments[1] : "0";
            if (more.equals("spin")) {
                start("spinner", () -> { while (true) { spin(); } });
            } else if (more.equals("talk")) {
                start("talker", () -> { while (true) { System.err.println("nobody reads this"); } });
            } else {
                for (int i = 0; i < Integer.parseInt(more); i++) {
                    start("idler-" + i, Target::stall);
                }
            }
            System.out.println("up " + listening.getLocalPort());
            for (int i = 0; true; i++) {
                Socket client = listening.accept();
                start("worker-" + i, () -> serve(client));
            }
        }
    }
}
